//! What the loader refuses of templates, each with its words.

use serde_json::json;

use super::super::{TEMPLATE_ENDLESS, Template};
use crate::contract::{Code, Failure};

#[test]
fn what_is_refused_is_named() {
    let rows = [
        ("{{ none | reverse }}", "the reverse of none"),
        ("{{ __multiply != list }}", "the name __multiply"),
        ("{% set __add = 1 %}{{ 1 + 1 }}", "the name __add"),
        ("{% for a in [1] %}{{ loop.cycle() }}{% endfor %}", "no items for cycling given"),
        (
            "{% for a in [1] %}{% set l = loop %}{{ l.cycle(*[]) }}{% endfor %}",
            "no items for cycling given",
        ),
        ("{{ nothing | last }}", "the last of undefined"),
        ("{{ '%(é)s' % {'é': 1} }}", "format with a key that is not ASCII"),
        ("{{ '%( \u{85}e' % 2.345 }}", "format with a key that is not ASCII"),
        ("{{ '{0[é]}'.format({'é': 1}) }}", "format with a key that is not ASCII"),
        ("{{ range(3, nothing) }}", "undefined value"),
        ("{{ range(3, none) }}", "a range with the bound none"),
        ("{{ [1] | sum(nothing) }}", "+ of number and undefined"),
        ("{{ 'a' | trim(nothing) }}", "trim of what is no text"),
        ("{{ 'a' | replace('a', 'b', nothing) }}", "cannot convert undefined to i64"),
        ("{{ 'a'.replace('a', 'b', none) }}", "cannot convert none to i64"),
        ("{{ 'a b'.split(' ', none) }}", "cannot convert none to i64"),
        ("{{ [1] | tojson(indent=nothing) }}", "tojson: indent is a number or a text"),
        (
            "{{ [1] | select(nothing) | list }}",
            "a test or an attribute whose name is undefined or none",
        ),
        (
            "{{ [1] | selectattr('x', none) | list }}",
            "a test or an attribute whose name is undefined or none",
        ),
        (
            "{% macro m(a=1, b) %}{% endmacro %}",
            "syntax error: a parameter without a default behind one that has one",
        ),
        (
            "{% macro m(a=1) %}{{ a }}{% endmacro %}{% set other = m %}{{ other(nothing) }}",
            "a macro with defaults that is not called",
        ),
        ("{{ nothing is sameas(nothing) }}", "sameas of two undefined values"),
        ("{{ none | last }}", "the last of none"),
        ("{{ 5 | last }}", "the last of number"),
        ("{{ none | first }}", "the first of none, or a namespace"),
        ("{{ none | items | list }}", "a list of none"),
        ("{{ 5 | dictsort }}", "dictsort of a value of type number by key"),
        ("{{ {'b': 1, 2: 1} | dictsort }}", "< of number and string"),
        ("{{ {'b': 1} | dictsort(by='x') }}", "dictsort of a value of type map by x"),
        ("{{ [[1], [1]] | unique | list }}", "a value of type sequence as a key"),
        ("{{ ['a', 'b'] | sum(start='') }}", "the sum of none, or of texts"),
        ("{{ 5 | length }}", "a value of type number has no length"),
        ("{{ none | join }}", "join of none"),
        ("{{ 5 | indent }}", "indent of a value that is no text"),
        ("{{ nothing | int }}", "undefined value"),
        ("{{ 'a' | attr('upper') }}", "the method upper without a call"),
        ("{{ 'a' % (1,) }}", "format of more values than the text asks for"),
        ("{{ 'abc'.startswith(['a']) }}", "startswith: the argument is a text or a tuple of texts"),
        ("{{ 'abc'.partition('') }}", "partition: the separator is not empty"),
        ("{{ 'abc'.rpartition('') }}", "rpartition: the separator is not empty"),
        ("{{ 'abc'.split('') }}", "split: the separator is a text"),
        ("{{ '-'.join(['a', 1]) }}", "join: expected texts, found number"),
        ("{{ [1, 2][1.0] }}", "a subscript that is a float"),
        ("{{ namespace(a=1) | list }}", "the items of a namespace, a loop or a macro"),
        (
            "{{ namespace(a=1) == namespace(a=1) }}",
            "a comparison of two namespaces, loops or macros",
        ),
        ("{{ namespace(_a=1) }}", "a namespace or a loop that is printed"),
        ("{{ [1, 2, 3][nothing:] }}", "a slice between bounds that are undefined"),
        ("{{ [1, 2, 3][::0] }}", "a slice whose step is 0"),
        ("{{ nothing[1:] }}", "a slice of a value of type undefined"),
        (
            "{% for a in [1] %}{% set x %}{% break %}{% endset %}{% endfor %}",
            "break out of a block of text",
        ),
        (
            "{% for a in [1] %}{% filter upper %}{% if a %}{% continue %}{% endif %}{% endfilter %}{% endfor %}",
            "continue out of a block of text",
        ),
        ("{{ 1 % 0 }}", "% by 0"),
        ("{{ (-8) ** (1/3) }}", "a power that is no finite number"),
        ("{{ 4 is divisibleby(0) }}", "divisibleby 0"),
        ("{{ 'a' is divisibleby 2 }}", "the rest of a value of type string"),
        ("{{ 1 is nope }}", "syntax error: no test is named nope"),
        ("{{ 1 is odd is true }}", "syntax error: several tests in a chain"),
        ("{{ range(1, 5, 0) | list }}", "a range whose step is 0"),
        ("{{ range(100001) | length }}", "a range of more than 100000 numbers"),
        ("{{ cycler('a', 'b') }}", "cycler"),
        ("{{ joiner(', ') }}", "joiner"),
        ("{{ lipsum() }}", "lipsum"),
        ("{{ strftime_now('%') }}", "unknown function: strftime_now('%')"),
        ("{{ [1] | tojson(indent=-1) }}", "tojson: indent is a number or a text"),
        ("{{ [1, 2] | tojson(separators=[',']) }}", "tojson: separators are two texts"),
        ("{{ {(1, 2): 3} | tojson }}", "a key of JSON is a text, not sequence"),
        ("{{ nothing | tojson }}", "undefined is not JSON serializable"),
        ("{{ range(3) | tojson }}", "sequence is not JSON serializable"),
        ("{{ namespace(a=1) | tojson }}", "map is not JSON serializable"),
        ("{{ range | tojson }}", "plain object is not JSON serializable"),
        ("{{ [1 2] }}", "syntax error: expected ,, found 2"),
        ("{{ {'a' 1} }}", "syntax error: expected :, found 1"),
        ("{{ (1 }}", "syntax error: a tag without its end"),
        ("{{ 1 + }}", "syntax error: unexpected end of a tag"),
        ("{{ dict(a=1, a=2) }}", "syntax error: two arguments a"),
        ("{{ 1 | nope }}", "syntax error: no filter is named nope"),
        ("{{ {'b': 1, 2: 2} | pprint }}", "pprint of a dict with keys of several kinds"),
        ("{{ 'a' | center(5) }}", "the filter center"),
        ("{{ '\\x4' }}", "syntax error: the escape \\x needs 2 digits"),
        ("{{ '\\u00e' }}", "syntax error: the escape \\u needs 4 digits"),
        ("{{ '\\U0001F64' }}", "syntax error: the escape \\U needs 8 digits"),
        ("{{ '\\N{BULLET}' }}", "the escape \\N{BULLET}"),
        ("{{ 1__0 }}", "syntax error: the number 1__0"),
        ("{{ 1_ }}", "syntax error: the number 1_"),
        ("{{ 007 }}", "syntax error: the number 007"),
        ("{{ varargs }}", "varargs"),
        ("{{ self }}", "self"),
        ("{{ ''.__class__ }}", "the name __class__"),
        (
            "{% set ns = namespace() %}{% set ns._a = 1 %}",
            "a member of a namespace that begins with _",
        ),
        (
            "{% set ns = namespace(a=[]) %}{% set ns.b = ns %}",
            "a namespace or a loop in a namespace",
        ),
        ("{% set a b = 1 %}", "syntax error: two names without a comma"),
        ("{% for a in none %}{% endfor %}", "a loop over none"),
        ("{% for a in namespace(a=1) %}{{ a }}{% endfor %}", "a loop over a namespace or a loop"),
        ("{% 5 %}", "syntax error: a statement without a name"),
        ("{% with a %}{% endwith %}", "syntax error: expected =, found the end of the tag"),
        ("{% macro m(a) %}{{ a }}{{ kwargs }}{% endmacro %}{{ m(1, b=2) }}", "kwargs"),
        ("{% raw %}a", "syntax error: a raw block without its end"),
        ("{% raw x %}a{% endraw %}", "syntax error: more than a name in the tag raw"),
        ("{{ (1] }}", "syntax error: expected ), found ]"),
        ("{{ [1].copy() }}", "unknown method: sequence has no method named copy"),
        ("{{ {'a': 1}.copy() }}", "unknown method: map has no method named copy"),
        ("{{ 'a }}", "syntax error: a tag without its end"),
        ("{% macro m %}{% endmacro %}", "syntax error: unexpected end of block, expected `(`"),
        ("{{ 'aab'.strip(nothing) }}", "undefined value"),
        ("{{ 'a'.join(none) }}", "join of none"),
        ("{{ dict(none) }}", "a dict of no dict"),
        ("{{ dict({}, {}) }}", "a dict of no dict"),
        ("{{ none | groupby('a') }}", "groups of none"),
        ("{{ [1, 2] | groupby('a') }}", "< of undefined and undefined"),
        ("{{ [none, none] | max }}", "< of none and none"),
        ("{{ {'a': none, 'b': none} | dictsort(by='value') }}", "< of none and none"),
        ("{{ namespace(a=1) | first }}", "the first of none, or a namespace"),
        ("{{ namespace(a=1) | last }}", "the last of map"),
        ("{{ namespace(a=1) | safe }}", "a namespace or a loop that is printed"),
        ("{{ namespace(a=1)[1:] }}", "a slice of a value of type map"),
        ("{{ '{}'.format(namespace(a=1)) }}", "format of a view of a dict, or of a group"),
        ("{{ 'a' % namespace(a=1) }}", "format of a view of a dict, or of a group"),
        ("{{ [1] in {'a': 1}.keys() }}", "a value of type sequence as a key"),
        ("{{ [1].index(2) }}", "the value is not in the list"),
        ("{{ {} * 2 }}", "* of map and number"),
        ("{{ 7 % 0.0 }}", "% by 0"),
        ("{{ (1).real }}", "the method real without a call"),
        ("{{ ] }}", "syntax error: unexpected ]"),
        ("{{ 'a' | default('a', 'b', 'c') }}", "too many arguments"),
        ("{{ 'x' | int(1, 2, 3) }}", "too many arguments"),
        ("{{ [1] | tojson(1, 2, 3, 4, 5) }}", "too many arguments"),
        ("{{ '%5s' % '\u{e9}' }}", "format with a width, of a text that is not ASCII or with *"),
        ("{{ a.'b' }}", "syntax error: unexpected \"b\""),
        ("{{ a[0 1] }}", "a subscript with several parts"),
        ("{{ a[] }}", "syntax error: a subscript without a value"),
        ("{{ {'a': 1}.keys().count('a') }}", "unknown method: sequence has no method named count"),
        ("{% for a, in [[1]] %}{% endfor %}", "syntax error: a comma before the word in"),
        ("{{ 1 not 2 }}", "syntax error: unexpected not"),
        ("{{ 'a' | 5 }}", "syntax error: expected a name, found 5"),
        ("{{ 1e300 | round(1, 'ceil') }}", "rounding of such large numbers, or to so many places"),
        ("{{ '1e39' | int }}", "int of a number of more than 38 digits"),
        ("{{ '\u{663}' | int }}", "a number with digits that are not ASCII"),
        ("{{ [1] | batch(2, nothing) | list }}", "rows that are filled up with what is undefined"),
        ("{{ [1] | map(attribute='a', default=none) | list }}", "map with none as the default"),
        ("{{ none | sort }}", "a list of none"),
        ("{{ ('{}' | safe).format(1) }}", "format of a text that is marked as safe"),
        ("{{ ('a,b' | safe).split(',') }}", "split of a text that is marked as safe"),
        ("{{ '{}'.format({'a': 1}.keys()) }}", "format of a view of a dict, or of a group"),
        (
            "{{ '%s' % (([{'a': 1}] | groupby('a'))[0],) }}",
            "format of a view of a dict, or of a group",
        ),
        ("{{ namespace(a=[namespace()]) }}", "a namespace or a loop in a namespace"),
        ("{{ [] % 2 }}", "% of sequence and number"),
        ("{{ {nothing: 1} }}", "such a key of a dict"),
        ("{{ [1] | map('int') }}", "a generator that is printed"),
        ("{{ range }}", "a function that is printed"),
        ("{{ ('a b' * 50) | pprint }}", "pprint of a text longer than a line"),
        (
            "{% set n = namespace(x=[1]) %}{% for i in range(150) %}{% set n.x = [n.x] %}{% endfor %}\
             {{ n.x | tojson }}",
            "tojson: the value is nested too deep",
        ),
        (
            "{% set n = namespace(x=[1]) %}{% for i in range(150) %}{% set n.x = [n.x] %}{% endfor %}\
             {{ n.x | pprint }}",
            "pprint of a value nested more than 100 deep",
        ),
    ];
    for (source, words) in rows {
        refused(source, words);
    }
}

/// What is made here would be too long to write.
#[test]
fn what_is_too_deep_or_too_long_is_refused() {
    let deep = "an expression of more than 100 steps in each other";
    let around = |open: &str, close: &str, count: usize| {
        format!("{{{{ {}1{} }}}}", open.repeat(count), close.repeat(count))
    };
    let behind = |one: &str, count: usize| format!("{{{{ a{} }}}}", one.repeat(count));
    let rows = [
        (around("(", ")", 101), deep),
        (around("not ", "", 101), deep),
        (around("-", "", 101), deep),
        (behind(".b", 101), deep),
        (behind(" | string", 101), deep),
        (format!("{{% set {}a{} = 1 %}}", "(".repeat(101), ")".repeat(101)), deep),
        (format!("{}{}", "{% if 1 %}".repeat(102), "{% endif %}".repeat(102)), deep),
        (
            format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(1001)),
            "more than 1000 elif",
        ),
        (behind(" - 1", 1001), "more than 1000 operands of one operator"),
        (
            format!("{{{{ 1 < 'a{}' < 2 }}}}", "b".repeat(1000)),
            "a long operand between two comparisons",
        ),
        (
            format!("{{{{ strftime_now('%Y{}') }}}}", " ".repeat(1000)),
            "strftime_now with more than 1000 letters",
        ),
        ("{% macro ".repeat(100_000), "syntax error: a tag without its end"),
        ("x".repeat((1 << 20) + 1), "a template of 1048577 bytes, and not of at most 1048576"),
    ];
    for (source, words) in rows {
        refused(&source, words);
    }
}

/// A list holds one value many times, so that its text is far longer than the value.
#[test]
fn a_text_far_longer_than_its_value_is_refused() {
    let many = "{% set x = ['x' * 90000] * 100 %}";
    for shown in ["x", "x | tojson", "x | pprint", "[x] | tojson", "[1] | batch(9999999)"] {
        let failure = failure(&format!("{many}{{{{ {shown} }}}}"));
        assert_eq!(failure.remedy.as_deref(), Some(TEMPLATE_ENDLESS.text), "{shown}");
    }
}

fn failure(source: &str) -> Failure {
    let rendered =
        Template::of(&json!({"chat_template": source})).and_then(|template| template.render(&[]));
    rendered.expect_err(source).failure().clone()
}

fn refused(source: &str, words: &str) {
    let shown: String = source.chars().take(80).collect();
    let failure = failure(source);
    assert_eq!(failure.code, Code::InvalidTemplate, "{shown}");
    let actual = failure.actual.unwrap_or_default();
    let actual = actual.strip_prefix("invalid operation: ").unwrap_or(&actual);
    let actual = actual.strip_suffix(" (in chat:1)").unwrap_or(actual);
    assert_eq!(actual, words, "{shown}");
}
