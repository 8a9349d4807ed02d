//! What only Jinja knows of templates, and what takes too much.

use super::alone;
use crate::harness::template::Fault;

/// Jinja gives most of these a text, or another error than a fault of the template.
#[test]
fn what_only_jinja_knows_is_unknown() {
    let rows = [
        ("{{ [1, 2, 3] | batch('a') | list }}", "batch without a count"),
        ("{{ [1, 2, 3, 4, 5] | slice(2) | list }}", "the filter slice"),
        (
            "{{ [{'a': 1}, {}] | groupby('a', default=0) }}",
            "groupby with a default or with letter case",
        ),
        ("{{ '0x1F' | int(base=16) }}", "int of such a text"),
        ("{{ '12' | int(base=1) }}", "int with base 1"),
        ("{{ 'nan' | int }}", "float of such a text"),
        ("{{ 1234.5 | round(-2) }}", "round to -2 places"),
        ("{{ 2.5 | round(none) }}", "round to none"),
        ("{{ ('a' | safe) | upper }}", "the filter upper of Markup"),
        ("{{ ('ab' | safe)[0] }}", "a subscript of Markup"),
        ("{{ ('ab' | safe) | list }}", "iteration over Markup"),
        ("{{ ('ab' | safe).upper() }}", "the method upper of Markup"),
        ("{{ ('%s' | safe) % '<' }}", "% of Markup"),
        ("{{ 'a' | attr('upper') }}", "a builtin_function_or_method that is printed"),
        ("{{ '%f' % 'a' }}", "%f of no finite number"),
        ("{{ '%5d|' % 3 }}", "the format %5d"),
        ("{{ 'a' % {} }}", "% with a dict"),
        ("{{ 'abc'.find('c', 1) }}", "the method find with a range"),
        ("{{ 'a'.center(5, '*') }}", "the method center of str"),
        ("{{ 'ßa'.capitalize() }}", "the capital form of 'ß'"),
        ("{{ range(1, 9, 2).start }}", "the attribute start of a range"),
        ("{{ range(1, 9, 2).stop }}", "the attribute stop of a range"),
        ("{{ (1).real }}", "the attribute real of a number"),
        ("{{ (1).numerator }}", "the attribute numerator of a number"),
        ("{{ 1.5.is_integer() }}", "the attribute is_integer of a number"),
        ("{{ [1, 2, 3]['a':] }}", "a slice with a str"),
        ("{{ [1, 2, 3][1.5:] }}", "a slice with a float"),
        ("{{ 5[1:] }}", "a slice of a int"),
        ("{{ none[1:] }}", "a slice of a NoneType"),
        ("{{ {}[1:] }}", "a slice of a dict"),
        ("{{ (-8) ** (1/3) }}", "a complex number"),
        ("{{ 2 ** 70 }}", "an integer beyond 64 bits"),
        ("{{ 9223372036854775808 }}", "the number 9223372036854775808"),
        ("{{ 'a' is sameas 'a' }}", "sameas of other values than none, true and false"),
        ("{{ 1 is filter }}", "the test filter"),
        ("{{ 'odd' is test }}", "the test test"),
        ("{{ cycler('a', 'b') }}", "the function cycler"),
        ("{{ joiner(', ') }}", "the function joiner"),
        ("{{ lipsum() }}", "the function lipsum"),
        ("{{ strftime_now('%c') }}", "strftime_now('%c')"),
        (
            "{{ {2: 1, 1: 2} | tojson(sort_keys=true) }}",
            "tojson with sort_keys over keys that are no texts",
        ),
        ("{{ [namespace(a=1)] }}", "a Namespace that is printed"),
        ("{{ [range(3)] }}", "a range that is printed"),
        ("{{ [('a' | safe)] }}", "Markup in a printed list"),
        ("{{ messages[] }}", "an empty subscript"),
        ("{{ messages[0, 1] }}", "a subscript with a comma"),
        ("{{ f(*[1]) }}", "a call with * or **"),
        ("{{ '\\N{BULLET}' }}", "the escape \\N"),
        ("{{ self }}", "the name self"),
        ("{{ ''.__class__ }}", "the attribute __class__"),
        (
            "{% set ns = namespace(a=[]) %}{% set ns.b = ns %}",
            "a namespace or a function in a namespace",
        ),
        ("{% for a in [1] recursive %}{{ a }}{% endfor %}", "a recursive loop"),
        ("{% for a in [1] %}{{ loop }}{% endfor %}", "a LoopContext that is printed"),
        (
            "{% for a in [1] %}{{ loop['index'] }}{{ loop[0] is defined }}{{ loop == loop }}{{ loop | length }}{% endfor %}",
            "the length of a loop",
        ),
        ("{% set x %}{% break %}{% endset %}", "a break in a block that is no loop"),
        (
            "{% macro m(x=1) %}{% endmacro %}{{ m.name }}{{ m.arguments }}{{ m.nope is defined }}",
            "the attribute arguments of a macro",
        ),
        ("{% macro m() %}a{% endmacro %}{{ m }}", "a Macro that is printed"),
        ("{% block a %}b{% endblock %}", "the tag block"),
        (
            "{{ [{'a': 2}, {'a': 1}, {'a': 2}] | groupby('a') | map(attribute='list') | map('length') | list }}",
            "the attribute list of a pair",
        ),
        (
            "{{ [{'a': 'x'}] | groupby('a') | map(attribute='grouper') | list }}",
            "the attribute grouper of a pair",
        ),
        ("{{ '\\ud800' }}", "the escape \\ud800"),
        ("{{ ([1] | map('int')).close() }}", "the method close of generator"),
        ("{{ [1] | tojson(indent='x' * 1001) }}", "tojson with a huge indent"),
        ("{{ [1] | tojson(indent=1001) }}", "tojson with a huge indent"),
        ("{{ 1 is eq(other=1) }}", "the test eq with a named argument"),
        ("{{ ('a' | safe) | replace('a', 'b') }}", "the filter replace of Markup"),
        ("{{ ('a' | safe) | indent }}", "the filter indent of Markup"),
        ("{{ {'a': 1}.fromkeys('ab') }}", "the method fromkeys of dict"),
        ("{{ '{:>5}'.format(1) }}", "the format {:>5}"),
        ("{% for a in [1] %}{{ loop(1) }}{% endfor %}", "a recursive loop"),
        ("{{ {'a': 1}.keys() - nothing }}", "a difference of the keys of a dict"),
        ("{{ [] - {'a': 1}.items() }}", "a difference of the keys of a dict"),
        ("{{ {'a': 1}.keys() < {'a': 1}.keys() }}", "an order of the keys of a dict"),
    ];
    for (source, construct) in rows {
        assert_eq!(alone(source), Err(Fault::Unknown(construct.to_owned())), "{source}");
    }
}

#[test]
fn what_takes_too_much_says_what_it_is() {
    let long = "x".repeat((1 << 20) + 1);
    let deep =
        format!("{{{{ {}a{}{} }}}}", "not ".repeat(9), ".b".repeat(198), " | string".repeat(198));
    let chain = format!("{{{{ 1{} }}}}", " + 1".repeat(201));
    let text = "{% set x = 'x' * 4000000 %}";
    let rows = [
        (long, "text"),
        (format!("{text}{{{{ x }}}}{{{{ x }}}}{{{{ x }}}}"), "text"),
        (format!("{text}{{{{ x ~ x ~ x }}}}"), "text"),
        (deep, "depth"),
        (chain, "depth"),
        // One list stands in another many times.
        (
            "{% set n = namespace(x=[1]) %}{% for i in range(30) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
                .to_owned(),
            "depth",
        ),
        (
            "{% set n = namespace(x=[1]) %}{% for i in range(120) %}{% set n.x = [n.x] %}{% endfor %}"
                .to_owned(),
            "depth",
        ),
    ];
    // The stack is that of a program's first thread, as where the judge renders.
    let tried = std::thread::Builder::new().stack_size(8 << 20).spawn(move || {
        for (source, what) in rows {
            let shown: String = source.chars().take(60).collect();
            assert_eq!(alone(&source), Err(Fault::Limit(what)), "{shown}");
        }
    });
    tried.expect("a thread").join().expect("each is refused by its limit");
}

/// A generator's own methods are there, and the interpreter serves none of them. A view has few.
#[test]
fn members_of_generators_and_views_are_those_of_python() {
    let source = "{{ {'a': 1}.keys().count is defined }}";
    assert_eq!(alone(source).as_deref(), Ok("False"));
    let source =
        "{{ ([1] | map('int')).close is defined }}{{ ([1] | map('int')).nope is defined }}";
    assert_eq!(alone(source).as_deref(), Ok("TrueFalse"));
}
