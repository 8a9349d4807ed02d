//! What the loader refuses of templates, each with its words.

use serde_json::json;

use super::super::Template;

#[test]
fn what_is_refused_is_named() {
    let rows = [
        ("{{ none | reverse }}", "the reverse of none"),
        ("{{ nothing | last }}", "the last of undefined"),
        ("{{ none | last }}", "the last of none"),
        ("{{ 5 | last }}", "the last of number"),
        ("{{ none | first }}", "the first of none"),
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
        ("{{ ''.__class__ }}", "the member __class__"),
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
    ];
    for (source, words) in rows {
        let rendered = Template::of(&json!({"chat_template": source}))
            .and_then(|template| template.render(&[]));
        let failure = rendered.expect_err(source).failure().clone();
        assert_eq!(failure.code, crate::contract::Code::InvalidTemplate, "{source}");
        let actual = failure.actual.unwrap_or_default();
        let actual = actual.strip_prefix("invalid operation: ").unwrap_or(&actual);
        let actual = actual.strip_suffix(" (in chat:1)").unwrap_or(actual);
        assert_eq!(actual, words, "{source}");
    }
}
