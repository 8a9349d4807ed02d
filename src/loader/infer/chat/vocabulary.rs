//! Names that Jinja and Python have: filters, tests, and methods.

/// Jinja's filters.
pub const FILTERS: &str = "abs attr batch capitalize center count d default dictsort e escape \
    filesizeformat first float forceescape format groupby indent int items join last length list lower \
    map max min pprint random reject rejectattr replace reverse round safe select selectattr slice sort \
    string striptags sum title tojson trim truncate unique upper urlencode urlize wordcount wordwrap \
    xmlattr";

/// Jinja's tests.
pub const TESTS: &str = "boolean callable defined divisibleby eq equalto escaped even false filter float \
    ge greaterthan gt in integer iterable le lessthan lower lt mapping ne none number odd sameas \
    sequence string test true undefined upper";

/// Methods of Python's texts.
pub const OF_TEXT: &str = "capitalize casefold center count encode endswith expandtabs find format \
    format_map index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric \
    isprintable isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix \
    removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith strip \
    swapcase title translate upper zfill";

/// Methods of Python's lists.
pub const OF_LIST: &str = "append clear copy count extend index insert pop remove reverse sort";

/// Methods of Python's dicts.
pub const OF_DICT: &str = "clear copy fromkeys get items keys pop popitem setdefault update values";

/// Members of Python's numbers.
pub const OF_NUMBER: &str = "as_integer_ratio bit_count bit_length conjugate denominator from_bytes \
    fromhex hex imag is_integer numerator real to_bytes";

/// Whether a list, with spaces between its names, has this name.
pub fn has(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|one| one == name)
}

/// Whether a name is that of a method of a text, a list or a dict, or of a member of a number.
pub fn is_method(name: &str) -> bool {
    [OF_TEXT, OF_LIST, OF_DICT, OF_NUMBER].iter().any(|list| has(list, name))
}
