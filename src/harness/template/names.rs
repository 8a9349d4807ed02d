//! The names that Jinja 3.1 has. A name that is not here is an error of the template; one that is
//! here and that this renderer does not serve is an unknown construct.

/// Filters.
pub const FILTERS: &str = "\
    abs attr batch capitalize center count d default dictsort e escape filesizeformat first \
    float forceescape format groupby indent int join last length list lower items map min \
    max pprint random reject rejectattr replace reverse round safe select selectattr slice \
    sort string striptags sum title trim truncate unique upper urlencode urlize wordcount \
    wordwrap xmlattr tojson";

/// Tests.
pub const TESTS: &str = "\
    odd even divisibleby defined undefined filter test none boolean false true integer float \
    lower upper string mapping number sequence iterable callable sameas escaped in eq \
    equalto ne gt greaterthan ge lt lessthan le";

/// Methods of `str`.
pub const OF_TEXT: &str = "\
    capitalize casefold center count encode endswith expandtabs find format format_map index \
    isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric isprintable \
    isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix \
    removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines \
    startswith strip swapcase title translate upper zfill";

/// Methods of `dict`.
pub const OF_MAP: &str = "\
    copy fromkeys get items keys values";
/// Methods of `dict` that change it, which the sandbox forbids.
pub const CHANGING_MAP: &str = "\
    clear pop popitem setdefault update";
/// Methods of `list`.
pub const OF_LIST: &str = "\
    copy count index";
/// Methods of `list` that change it, which the sandbox forbids.
pub const CHANGING_LIST: &str = "\
    append clear extend insert pop remove reverse sort";
/// Attributes of numbers.
pub const OF_NUMBER: &str = "\
    as_integer_ratio bit_count bit_length conjugate denominator from_bytes fromhex hex imag \
    is_integer numerator real to_bytes";

/// Tags that Jinja knows and this renderer does not.
pub const TAGS: &str = "\
    autoescape block extends from import include";

/// Whether a name is one of a list's.
pub fn is_one(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|one| one == name)
}
