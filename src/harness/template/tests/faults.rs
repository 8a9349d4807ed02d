//! Faults of templates, each with its words.

use super::alone;
use crate::harness::template::Fault;

/// The words are Python's or Jinja's own, where these have some.
#[test]
fn what_jinja_refuses_fails() {
    let rows = [
        ("{{ none | reverse }}", "'NoneType' object is not iterable"),
        ("{{ 5 | reverse }}", "'int' object is not iterable"),
        ("{{ messages | map(attribute='role') | last }}", "'generator' object is not reversible"),
        ("{{ 5 | items | list }}", "Can only get item pairs from a mapping."),
        ("{{ none | items | list }}", "Can only get item pairs from a mapping."),
        ("{{ 5 | dictsort }}", "dictsort() expects a dict"),
        (
            "{{ {'b': 1, 2: 1} | dictsort }}",
            "'<' not supported between instances of 'int' and 'str'",
        ),
        ("{{ {'b': 1} | dictsort(by='x') }}", "You can only sort by either 'key' or 'value'"),
        ("{{ [1, 'a'] | sort }}", "'<' not supported between instances of 'str' and 'int'"),
        ("{{ [nothing, 1] | sort }}", "'nothing' is undefined"),
        ("{{ [[1], [1]] | unique | list }}", "unhashable type: 'list'"),
        ("{{ [{}, {}] | unique | list }}", "unhashable type: 'dict'"),
        ("{{ ['a', 'b'] | sum(start='') }}", "sum() can't sum strings [use ''.join(seq) instead]"),
        ("{{ ['a', 'b'] | sum }}", "unsupported operand type(s) for +: 'int' and 'str'"),
        ("{{ [{'a': 1}] | groupby }}", "groupby() misses a required argument"),
        ("{{ [1] | list(2) }}", "list() takes at most 0 arguments (1 given)"),
        ("{{ [1] | first(2) }}", "first() takes at most 0 arguments (1 given)"),
        ("{{ 5 | length }}", "object of type 'int' has no len()"),
        ("{{ none | length }}", "object of type 'NoneType' has no len()"),
        ("{{ 'a' | trim(5) }}", "trim() expects str, not int"),
        ("{{ 'a\\nb' | indent(width=none) }}", "indent() cannot indent by a NoneType"),
        ("{{ 5 | indent }}", "indent() expects str, not int"),
        ("{{ nothing | indent }}", "'nothing' is undefined"),
        ("{{ 'a' | abs }}", "bad operand type for abs(): 'str'"),
        ("{{ none | abs }}", "bad operand type for abs(): 'NoneType'"),
        ("{{ 2.5 | round(0, 'up') }}", "method must be common, ceil or floor"),
        ("{{ 'a' | round }}", "round() expects a number"),
        ("{{ none | round }}", "round() expects a number"),
        ("{{ 'a' | attr(5) }}", "attr() expects str"),
        ("{{ '%d' | format('a') }}", "%d format: a real number is required"),
        ("{{ '%s' | format }}", "not enough arguments for format string"),
        ("{{ '%s %s' % 'a' }}", "not enough arguments for format string"),
        ("{{ '%d' % none }}", "%d format: a real number is required"),
        ("{{ 'a' % (1,) }}", "not all arguments converted during string formatting"),
        ("{{ 'a' % 1 }}", "not all arguments converted during string formatting"),
        (
            "{{ '{}{0}'.format('a', 'b') }}",
            "cannot switch between manual and automatic field numbering",
        ),
        ("{{ '{'.format() }}", "Single brace encountered in format string"),
        ("{{ '}'.format() }}", "Single brace encountered in format string"),
        ("{{ '{}'.format() }}", "nothing for the place {}"),
        ("{{ '{5}'.format(1) }}", "nothing for the place {5}"),
        ("{{ 'abc'.index('z') }}", "substring not found"),
        ("{{ 'abc'.find(none) }}", "find() argument must be str, not None"),
        ("{{ 'abc'.find() }}", "find() argument must be str, not None"),
        ("{{ 'abc'.find(sub='a') }}", "find() takes no keyword arguments"),
        ("{{ 'abc'.startswith(['a']) }}", "startswith first arg must be str or a tuple of str"),
        ("{{ 'abc'.startswith(1) }}", "startswith first arg must be str or a tuple of str"),
        ("{{ 'abc'.startswith() }}", "startswith() misses a required argument"),
        ("{{ 'abc'.partition('') }}", "empty separator"),
        ("{{ 'abc'.rpartition('') }}", "empty separator"),
        ("{{ 'abc'.split(',', 'x') }}", "split() expects int, not str"),
        ("{{ '-'.join(['a', 1]) }}", "expected str instance, int found"),
        ("{{ '-'.join(['a', nothing]) }}", "expected str instance, Undefined found"),
        ("{{ '7'.zfill('3') }}", "zfill() expects int, not str"),
        ("{{ 'a'.ljust(3, 'xy') }}", "The fill character must be exactly one character long"),
        ("{{ 'a'.ljust(3, '') }}", "The fill character must be exactly one character long"),
        ("{{ 'a'.strip(chars='a') }}", "strip() takes no keyword arguments"),
        ("{{ [1, 2, 1].index(3) }}", "the value is not in the list"),
        ("{{ 1 in 5 }}", "argument of type 'int' is not iterable"),
        ("{{ 1 in none }}", "argument of type 'NoneType' is not iterable"),
        ("{{ 1 in 'abc' }}", "'in <string>' requires string as left operand, not int"),
        (
            "{{ namespace(_a=1) }}",
            "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '_a'",
        ),
        ("{{ [1, 2, 3][::0] }}", "slice step cannot be zero"),
        ("{{ 'a' - 1 }}", "unsupported operand type(s) for -: 'str' and 'int'"),
        ("{{ 'a' + 1 }}", "unsupported operand type(s) for +: 'str' and 'int'"),
        ("{{ [1] - [1] }}", "unsupported operand type(s) for -: 'list' and 'list'"),
        ("{{ 'a' * 'b' }}", "unsupported operand type(s) for *: 'str' and 'str'"),
        ("{{ 'a' * 1.5 }}", "unsupported operand type(s) for *: 'str' and 'float'"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 1 // 0 }}", "division by zero"),
        ("{{ 1.0 / 0 }}", "float division by zero"),
        ("{{ 1.5 // 0 }}", "float division by zero"),
        ("{{ 0.0 ** -1 }}", "zero cannot be raised to a negative power"),
        ("{{ -'a' }}", "bad operand type for unary operator: 'str'"),
        ("{{ +'a' }}", "bad operand type for unary operator: 'str'"),
        ("{{ none is even }}", "unsupported operand type(s) for %: 'NoneType' and 'int'"),
        ("{{ 1 is nope }}", "No test named 'nope'."),
        ("{{ 1 is odd is true }}", "You cannot chain multiple tests with is"),
        ("{{ dict([(1, 2, 3)]) }}", "dict() expects pairs"),
        ("{{ dict(1, 2) }}", "dict expected at most 1 argument"),
        ("{{ range() | list }}", "range expected 1 to 3 arguments"),
        ("{{ range(1, 2, 3, 4) | list }}", "range expected 1 to 3 arguments"),
        ("{{ range('a') | list }}", "'str' object cannot be interpreted as an integer"),
        ("{{ range(1.5) | list }}", "'float' object cannot be interpreted as an integer"),
        ("{{ range(1, 5, 0) | list }}", "range() arg 3 must not be zero"),
        (
            "{{ range(100001) | length }}",
            "Range too big. The sandbox blocks ranges larger than 100000.",
        ),
        ("{{ strftime_now() }}", "strftime_now() expects str"),
        ("{{ [1] | tojson(indent=1.5) }}", "tojson() expects an int or a str as indent"),
        ("{{ [1, 2] | tojson(separators=[',']) }}", "tojson() expects two separators"),
        ("{{ [1, 2] | tojson(separators=[',', ':', ';']) }}", "tojson() expects two separators"),
        ("{{ {(1, 2): 3} | tojson }}", "keys must be str, int, float, bool or None, not tuple"),
        ("{{ nothing | tojson }}", "Object of type Undefined is not JSON serializable"),
        ("{{ range(3) | tojson }}", "Object of type range is not JSON serializable"),
        (
            "{{ messages | map('length') | tojson }}",
            "Object of type generator is not JSON serializable",
        ),
        ("{{ namespace(a=1) | tojson }}", "Object of type Namespace is not JSON serializable"),
        ("{{ range | tojson }}", "Object of type function is not JSON serializable"),
        ("{{ [1] | tojson(nope=1) }}", "tojson() got an unexpected keyword argument 'nope'"),
        ("{{ [1 2] }}", "line 1: expected ',', found 2"),
        ("{{ {'a' 1} }}", "line 1: expected ':', found 1"),
        ("{{ (1 }}", "line 1: unexpected '}'"),
        ("{{ [1 }}", "line 1: unexpected '}'"),
        ("{{ 'abc }}", "line 1: a text without its end"),
        ("{{ 1 + }}", "line 1: expected an expression, found '}}'"),
        ("{{ messages.'role' }}", "expected name or number"),
        ("{{ messages.1.5 }}", "expected name or number"),
        ("{{ dict(a=1, 2) }}", "a positional argument follows a named one"),
        ("{{ dict(a=1, a=2) }}", "keyword argument repeated: a"),
        ("{{ 1 | nope }}", "No filter named 'nope'."),
        ("{{ 2 ** 2 | string }}", "unsupported operand type(s) for **: 'int' and 'str'"),
        ("{{ messages | map | list }}", "map requires a filter argument"),
        ("{{ messages | map(5) | list }}", "map requires a filter's name"),
        (
            "{{ messages | map(attribute='role', nope=1) | list }}",
            "Unexpected keyword argument 'nope'",
        ),
        ("{{ messages | selectattr | list }}", "Missing parameter for attribute name"),
        ("{{ [1, 2, 3] | select('nope') | list }}", "No test named 'nope'."),
        ("{{ [1, 2, 3] | select(5) | list }}", "a test's name is a str"),
        ("{{ nothing | default(nope=1) }}", "default() got an unexpected keyword argument 'nope'"),
        ("{{ '\\x4' }}", "the escape \\x4 is not complete"),
        ("{{ '\\u00e' }}", "the escape \\u00e is not complete"),
        ("{{ '\\U0001F64' }}", "the escape \\U0001F64 is not complete"),
        ("{{ 'a\\ }}", "line 1: a text without its end"),
        ("{{ 1__0 }}", "line 1: expected '}}', found '__0'"),
        ("{{ 1_ }}", "line 1: expected '}}', found '_'"),
        ("{{ 007 }}", "the number 007 begins with a zero"),
        ("{{ .5 }}", "line 1: expected an expression, found '.'"),
        ("{% set x.y = 1 %}", "cannot assign attribute on non-namespace object"),
        (
            "{% set ns = namespace() %}{% set ns._a = 1 %}",
            "Chat templates cannot store underscore-prefixed attributes on a namespace, but got '_a'",
        ),
        ("{% set a, b = [1, 2, 3] %}", "expected 2 values to unpack, got 3"),
        ("{% set a, b = [1] %}", "expected 2 values to unpack, got 1"),
        ("{% set a, = [1] %}{{ a }}", "line 1: expected a name, found '='"),
        ("{% set 1 = 1 %}", "line 1: expected a name, found 1"),
        ("{% for a in [1, 2] %}{{ loop.cycle() }}{% endfor %}", "no items for cycling given"),
        ("{% break %}", "'break' or 'continue' outside of a loop"),
        ("{% continue %}", "'break' or 'continue' outside of a loop"),
        ("{% if 1 %}a{% else %}b{% elif 1 %}c{% endif %}", "Encountered unknown tag 'elif'."),
        ("{% if 1 %}a", "the template ends before 'endif'"),
        ("{% endif %}", "Encountered unknown tag 'endif'."),
        ("{% 5 %}", "line 1: expected a name, found 5"),
        ("{% 'a' %}", "line 1: expected a name, found a quoted text"),
        ("{% with a = 1, %}{{ a }}{% endwith %}", "line 1: expected a name, found '%}'"),
        ("{% filter nope %}a{% endfilter %}", "No filter named 'nope'."),
        ("{% macro m(a=1, b) %}{% endmacro %}", "non-default argument follows default argument"),
        (
            "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, a=2) }}",
            "macro 'm' got multiple values for 'a'",
        ),
        (
            "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, b=2) }}",
            "macro 'm' takes no keyword argument 'b'",
        ),
        (
            "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
            "macro 'm' takes not more than 1 argument(s)",
        ),
        ("{% macro m(a) %}{{ a }}{{ caller() }}{% endmacro %}{{ m(1) }}", "No caller defined"),
        (
            "{% macro m(a) %}{{ a }}{% endmacro %}{% call m(1) %}x{% endcall %}",
            "macro 'm' was invoked with two values for the special caller argument or takes none",
        ),
        (
            "{% macro m() %}{{ caller(1, 2, 3) }}{% endmacro %}{% call(a) m() %}{{ a }}{% endcall %}",
            "macro 'caller' takes not more than 1 argument(s)",
        ),
        ("{% call 5 %}x{% endcall %}", "expected call"),
        ("{% call x %}x{% endcall %}", "expected call"),
        ("{% macro m(a, a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "duplicate argument 'a'"),
        ("{% raw %}a", "line 1: a raw block without its end"),
        ("{# a", "line 1: a comment without its end"),
        ("{{ 1", "line 1: a tag without its end"),
        ("{{ nothing | dictsort }}", "dictsort() expects a dict"),
        (
            "{{ [{'a': {'b': 1}}, {}] | selectattr('a.b') | list }}",
            "'dict object' has no attribute 'a'",
        ),
        ("{{ 'a' | upper()() }}", "'str' object is not callable"),
        (
            "{{ 'a' | default('b', default_value='c') }}",
            "default() got multiple values for argument 'default_value'",
        ),
        (
            "{% for a in [1] %}{{ loop.cycle + 1 }}{% endfor %}",
            "unsupported operand type(s) for +: 'method' and 'int'",
        ),
        (
            "{% for a in [1] %}{{ loop.changed + 1 }}{% endfor %}",
            "unsupported operand type(s) for +: 'method' and 'int'",
        ),
        ("{{ {'a': 1}.keys() + 1 }}", "unsupported operand type(s) for +: 'dict_keys' and 'int'"),
        (
            "{{ {'a': 1}.values() + 1 }}",
            "unsupported operand type(s) for +: 'dict_values' and 'int'",
        ),
        ("{{ {'a': 1}.items() + 1 }}", "unsupported operand type(s) for +: 'dict_items' and 'int'"),
        ("{% set 1.5 = 1 %}", "line 1: expected a name, found 1.5"),
        ("a\n\n{% if 1 1 %}", "line 3: expected '%}', found 1"),
        ("{{ [1][nothing:] }}", "'nothing' is undefined"),
        ("{{ nothing[1:] }}", "'nothing' is undefined"),
        ("{{ -nothing }}", "'nothing' is undefined"),
        ("{{ nothing | int }}", "'nothing' is undefined"),
        ("{{ nothing | float }}", "'nothing' is undefined"),
        ("{{ nothing | round }}", "'nothing' is undefined"),
        ("{% if %}{% endif %}", "line 1: expected an expression, found '%}'"),
        ("{{ }}", "line 1: expected an expression, found '}}'"),
        ("{{ 1 | upper.nope }}", "No filter named 'upper.nope'."),
        ("{{ 1 is odd.nope }}", "No test named 'odd.nope'."),
        ("{{ [1] | map('nope') | list }}", "No filter named 'nope'."),
        ("{{ range(stop=3) }}", "range() takes no keyword arguments"),
        ("{{ a ? b }}", "line 1: unexpected '?'"),
        ("{{ {'a': 1}.get('a', default=5) }}", "dict.get() takes no keyword arguments"),
        ("{{ 'a'.split('') }}", "empty separator"),
        ("{{ [1][1:2:3:4] }}", "line 1: expected ']', found 4"),
        (
            "{% macro m() %}{% break %}{% endmacro %}{{ m() }}",
            "'break' or 'continue' outside of a loop",
        ),
    ];
    for (source, words) in rows {
        assert_eq!(alone(source), Err(Fault::Failed(words.to_owned())), "{source}");
    }
}

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
