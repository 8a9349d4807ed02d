//! Chat templates that would take all memory, or never end.

use serde_json::json;
use weighbridge::contract::Code;
use weighbridge::contract::generation::{Role, Turn};
use weighbridge::harness::template::{self, Moment};
use weighbridge::loader::infer::chat::Template;

use crate::{Faults, bounded};

/// A namespace `n` whose `x` is doubled sixty times by an expression.
fn doubled(first: &str, by: &str, then: &str) -> String {
    format!(
        "{{% set n = namespace(x={first}, y={first}) %}}{{% for i in range(60) %}}{{% set n.x = {by} %}}\
         {{% set n.y = {} %}}{{% endfor %}}{then}",
        by.replace("n.x", "n.y")
    )
}

/// Something in two loops of 99,999 turns each.
fn again(before: &str, inner: &str) -> String {
    format!(
        "{before}{{% for a in range(99999) %}}{{% for b in range(99999) %}}{inner}{{% endfor %}}\
         {{% endfor %}}"
    )
}

/// Templates that take too much memory.
fn growing() -> Vec<(&'static str, String)> {
    let text = "{% set t = 'abcdefgh' * 1000000 %}";
    let list = "{% set l = [1] * 100000 %}";
    let long = "words between two tags ".repeat(200);
    vec![
        ("indent", "{{ 'a\nb' | indent(3000000000, true) }}".to_owned()),
        ("indent of many lines", "{{ ('a\n' * 900000) | indent(90000) }}".to_owned()),
        ("repeated text", "{{ 'x' * 3000000000 }}".to_owned()),
        ("repeated text, turned", "{{ 3000000000 * 'x' }}".to_owned()),
        ("repeated list", "{{ ([1, 2] * 3000000000) | length }}".to_owned()),
        ("repeated tuple", "{{ ((1, 2) * 100000 * 100000) | length }}".to_owned()),
        ("joined", doubled("'ab'", "n.x ~ n.x", "{{ n.x }}")),
        ("added", doubled("'ab'", "n.x + n.x", "{{ n.x }}")),
        ("replaced", doubled("'a'", "n.x | replace('a', 'aaaa')", "{{ n.x }}")),
        ("replaced by method", doubled("'a'", "n.x.replace('a', 'aaaa')", "{{ n.x }}")),
        ("replaced between letters", "{{ ('a' * 100000).replace('', 'b' * 100000) }}".to_owned()),
        ("joined by filter", doubled("'ab'", "[n.x, n.x] | join(n.x)", "{{ n.x }}")),
        ("joined by method", "{{ ('x' * 8000000).join(['a'] * 100000) }}".to_owned()),
        ("joined letters", "{{ ('x' * 8000000) | join('y' * 8000000) }}".to_owned()),
        ("lists added", doubled("[1]", "n.x + n.x", "{{ n.x | length }}")),
        ("lists in each other", doubled("[1]", "[n.x, n.x]", "{{ n.x }}")),
        ("empty lists in each other", doubled("[]", "[n.x, n.x]", "{{ n.x | pprint }}")),
        ("lists as JSON", doubled("[1]", "[n.x, n.x]", "{{ n.x | tojson }}")),
        ("dicts in each other", doubled("{}", "{'a': n.x, 'b': n.x}", "{{ n.x }}")),
        ("dicts by name", doubled("{}", "dict(a=n.x, b=n.x)", "{{ n.x | tojson }}")),
        ("tuples as keys", doubled("(1,)", "(n.x, n.x)", "{{ {n.x: 1, n.y: 2} }}")),
        ("output", again(text, "{{ t }}")),
        ("output in a block", again(text, "{% set u %}{{ t }}{{ t }}{% endset %}")),
        ("text of the template", again("", &long)),
        (
            "text of the template, kept",
            again(
                "{% set n = namespace(l=[]) %}",
                &format!("{{% set u %}}{long}{{% endset %}}{{% set n.l = n.l + [u] %}}"),
            ),
        ),
        ("white space of the template", again("", &" \n".repeat(3000))),
        ("raw text", again("", &format!("{{% raw %}}{long}{{% endraw %}}"))),
        ("fields", format!("{text}{{{{ ('{{0}}' * 100000).format(t) }}}}")),
        ("wide fields", "{{ ('{0:>9999}' * 100000).format(1) }}".to_owned()),
        ("percents", format!("{text}{{{{ ('%s' * 1000) % ((t,) * 1000) }}}}")),
        ("wide percents", "{{ ('%9999s' * 100000) % ((1,) * 100000) }}".to_owned()),
        ("a width", "{{ '%3000000000s' % 'a' }}".to_owned()),
        ("justified", "{{ 'a'.ljust(3000000000) ~ 'a'.rjust(3000000000) }}".to_owned()),
        ("justified by a text", "{{ 'a'.ljust(1000000, 'b' * 1000000) }}".to_owned()),
        ("centred", "{{ 'a' | center(3000000000) }}".to_owned()),
        ("centred by method", "{{ 'a'.center(3000000000) }}".to_owned()),
        ("zeros", "{{ '1'.zfill(3000000000) }}".to_owned()),
        ("letters", "{{ ('x' * 9000000) | list | length }}".to_owned()),
        ("letters sorted", "{{ ('x' * 9000000) | sort | length }}".to_owned()),
        ("letters mapped", "{{ ('x' * 9000000) | map('upper') | list | length }}".to_owned()),
        ("words", "{{ ('x ' * 8000000).split() | length }}".to_owned()),
        ("parts", "{{ ('xy' * 8000000).split('x') | length }}".to_owned()),
        ("lines", "{{ ('\n' * 9000000).splitlines() | length }}".to_owned()),
        (
            "rows",
            again(
                "{% set n = namespace(l=[]) %}",
                "{% set n.l = n.l + ([1] | batch(1048576, 'x') | list) %}",
            ),
        ),
        ("slices", "{{ [1] | slice(1048576) | list | length }}".to_owned()),
        (
            "parts of a text",
            again(
                &format!("{text}{{% set n = namespace(l=[]) %}}"),
                "{% set n.l = n.l + [t[1:]] %}",
            ),
        ),
        ("sum", format!("{text}{{{{ ([t] * 100000) | sum(start='') }}}}")),
        ("sum of lists", format!("{list}{{{{ ([l] * 100000) | sum(start=[]) | length }}}}")),
        ("sorted copies", format!("{text}{{{{ ([t] * 1000) | sort | length }}}}")),
        ("capitals", format!("{text}{{{{ ([t] * 1000) | map('upper') | list | length }}}}")),
        ("dates", "{{ strftime_now('%c' * 8000000) }}".to_owned()),
        ("indent of JSON", "{{ [[[[1]]]] | tojson(indent='x' * 9000000) }}".to_owned()),
        ("separators of JSON", format!("{text}{{{{ [1, 2, 3] | tojson(separators=(t, t)) }}}}")),
        ("escaped", "{{ ('&' * 8000000) | escape }}".to_owned()),
        (
            "pairs of a dict",
            again(
                "{% set d = {'a': 1, 'b': 2, 'c': 3, 'd': 4} %}{% set n = namespace(l=[]) %}",
                "{% set n.l = n.l + [d.items()] %}",
            ),
        ),
        ("an exception", format!("{text}{{{{ raise_exception(t) }}}}")),
        ("a range", "{{ range(3000000000) | list }}".to_owned()),
        (
            "ranges",
            again("{% set n = namespace(l=[]) %}", "{% set n.l = n.l + [range(99999) | list] %}"),
        ),
    ]
}

/// Templates that take too much time.
fn endless() -> Vec<(&'static str, String)> {
    let text = "{% set t = 'abcdefgh' * 1000000 %}{% set u = t ~ '' %}";
    let list = "{% set l = [1] * 100000 %}";
    vec![
        ("loops", again("", "")),
        ("a macro that calls itself", "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}".to_owned()),
        ("equal texts", again(text, "{% if t == u %}{% endif %}")),
        ("a text in a text", again(text, "{% if 'z' in t %}{% endif %}")),
        ("letters counted", again(text, "{% if t.count('z') %}{% endif %}")),
        ("a letter found", again(text, "{% if t.find('z') %}{% endif %}")),
        ("a letter by its place", again(text, "{% if t[7999999] %}{% endif %}")),
        ("the length of a text", again(text, "{% if t | length %}{% endif %}")),
        ("a test of a text", again(text, "{% if t is lower %}{% endif %}")),
        ("the last item", again(list, "{% if l | last %}{% endif %}")),
        ("the last letter", again(text, "{% if t | last %}{% endif %}")),
        ("an item in a list", again(list, "{% if 2 in l %}{% endif %}")),
        ("an item in a range", again("", "{% if -1 in range(99999) %}{% endif %}")),
        ("items counted", again(list, "{% if l.count(2) %}{% endif %}")),
        ("items dropped", again(list, "{% if l | reject('odd') | first %}{% endif %}")),
        ("items one by one", again("{% set g = ([1] * 100000) | reverse %}", "{% if g | first %}{% endif %}")),
        ("different items", "{{ range(99999) | unique | list | length }}".to_owned()),
        ("equal lists", doubled("[1]", "[n.x, n.x]", "{{ n.x == n.y }}")),
        ("equal empty lists", doubled("[]", "[n.x, n.x]", "{{ n.x == n.y }}")),
        ("a list that has a list", doubled("[]", "[n.x, n.x]", "{{ [n.x] is eq([n.y]) }}")),
        ("a list in a list", doubled("[]", "[n.x, n.x]", "{{ n.x in [n.y] }}")),
        ("lists in order", doubled("[]", "[n.x, n.x]", "{{ [n.x, n.y] | sort | length }}")),
        ("a changed list", doubled("[]", "[n.x, n.x]",
            "{% for i in [1, 2] %}{{ loop.changed(n.x) }}{% endfor %}")),
        ("namespaces that hold themselves",
            "{% set a = namespace() %}{% set b = namespace() %}{% set a.x = a %}{% set b.x = b %}{{ a == b }}"
                .to_owned()),
        ("a list deep within lists", "{% set n = namespace(x=[]) %}{% for i in range(90000) %}\
            {% set n.x = [n.x] %}{% endfor %}".to_owned()),
        ("a long path", again("{% set p = 'a.' * 100000 %}", "{% if [{}] | map(attribute=p) | list %}{% endif %}")),
        ("many keys", format!("{{{{ {{{}}} | length }}}}",
            (0..60_000).map(|at| format!("{at}:1,")).collect::<String>())),
    ]
}

/// Templates whose text alone is a burden to a parser. Some are legal, if long.
fn heavy() -> Vec<(&'static str, String)> {
    let nested = |open: &str, middle: &str, close: &str, count: usize| {
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    let mut compared = "b".to_owned();
    for _ in 0..60 {
        compared = format!("(a < {compared} < a)");
    }
    vec![
        ("differences", format!("{{{{ 1{} }}}}", "-1".repeat(200_000))),
        ("sums", format!("{{{{ 1{} }}}}", "+1".repeat(200_000))),
        ("products", format!("{{{{ 1{} }}}}", "*1".repeat(200_000))),
        ("powers", format!("{{{{ 1{} }}}}", "**1".repeat(200_000))),
        ("joins", format!("{{{{ 1{} }}}}", "~1".repeat(200_000))),
        ("alternatives", format!("{{{{ 0{} }}}}", " or 0".repeat(150_000))),
        ("conditions", format!("{{{{ 1{} }}}}", " if 1".repeat(150_000))),
        ("members", format!("{{{{ a{} }}}}", ".a".repeat(200_000))),
        ("calls", format!("{{{{ a{} }}}}", "()".repeat(200_000))),
        ("filters", format!("{{{{ 'a'{} }}}}", "|trim".repeat(150_000))),
        ("tests", format!("{{{{ 'a'{} }}}}", " is string".repeat(80_000))),
        ("comparisons", format!("{{{{ 1{} }}}}", "<1".repeat(200_000))),
        ("comparisons in each other", format!("{{{{ {compared} }}}}")),
        ("negations", format!("{{{{ {}1 }}}}", "not ".repeat(200_000))),
        ("signs", format!("{{{{ {}1 }}}}", "- ".repeat(200_000))),
        ("brackets", format!("{{{{ {} }}}}", nested("(", "1", ")", 200_000))),
        ("lists", format!("{{{{ {} }}}}", nested("[", "", "]", 200_000))),
        ("dicts", format!("{{{{ {} }}}}", nested("{1:", "1", "}", 150_000))),
        ("subscripts", format!("{{{{ {} }}}}", nested("a[", "1", "]", 150_000))),
        ("targets", format!("{{% set {} = 1 %}}", nested("(", "a", ")", 200_000))),
        (
            "loops of targets",
            format!("{{% for {} in [] %}}{{% endfor %}}", nested("(", "a", ")", 200_000)),
        ),
        ("blocks", nested("{% if 1 %}", "", "{% endif %}", 40_000)),
        ("loops", nested("{% for a in [1] %}", "", "{% endfor %}", 30_000)),
        ("branches", format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(70_000))),
        ("tags", "{{1}}".repeat(200_000)),
        ("open tags", "{{".repeat(500_000)),
        ("braces", "{".repeat(1_000_000)),
        ("comments", "{#".repeat(500_000)),
        ("texts", format!("{{{{ {} }}}}", "'a'".repeat(300_000))),
        ("a number", format!("{{{{ {} }}}}", "9".repeat(1_000_000))),
        ("a name", format!("{{{{ {} }}}}", "a".repeat(1_000_000))),
        ("an unknown filter", format!("{{{{ 1 | {} }}}}", "a".repeat(1_000_000))),
        ("a long template", "x".repeat(20_000_000)),
    ]
}

fn turns() -> Vec<Turn> {
    vec![Turn { role: Role::User, content: "hello".to_owned() }]
}

/// Whether a template is one to try: all are, unless one is named.
fn tried(name: &str) -> bool {
    std::env::var("BOUNDS_ONLY").map_or(true, |only| only == name)
}

/// Renders templates, each within the bounds. Those that must be refused have a code and a short answer.
fn rendered(all: Vec<(&'static str, String)>, must: bool) {
    let mut faults = Faults::default();
    for (name, source) in all.into_iter().filter(|(name, _)| tried(name)) {
        let ended = faults.bounded(name, || {
            let template = Template::of(&json!({"chat_template": source}))?;
            template.render(&turns())
        });
        match ended {
            Ok(text) => faults.unless(!must, || format!("{name}: {} bytes of text", text.len())),
            Err(error) => {
                let refused = error.code() == Code::InvalidTemplate;
                faults.unless(refused, || format!("{name}: {error}"));
                let line = serde_json::to_string(error.failure()).expect("JSON");
                faults.unless(line.len() < 1 << 16, || format!("{name}: {} bytes", line.len()));
            }
        }
    }
}

#[test]
fn a_template_that_grows_without_end_is_refused() {
    rendered(growing(), true);
}

#[test]
fn a_template_that_does_not_end_is_refused() {
    rendered(endless(), true);
}

#[test]
fn a_template_that_burdens_the_parser_ends() {
    rendered(heavy(), false);
}

#[test]
fn the_judge_ends_as_well() {
    let all = growing().into_iter().chain(endless()).chain(heavy());
    let moment = Moment::now();
    let mut faults = Faults::default();
    for (name, source) in all.filter(|(name, _)| tried(name)) {
        // What the judge makes of it is its own affair, as long as it ends.
        let _rendered = faults.bounded(name, || {
            template::render(&source, Vec::new(), moment).map(|rendered| rendered.text.len())
        });
    }
}

#[test]
fn long_conversations_are_within_the_bounds() {
    let source = "{% for message in messages %}{% if message.role not in ['user', 'assistant'] %}\
        {{ raise_exception('no') }}{% endif %}{% if messages | length > 1 and messages[1:] %}\
        {{ '<|im_start|>' + message['role'] ~ '\n' ~ message.content | trim + '<|im_end|>\n' }}{% endif %}\
        {% endfor %}{{ '<|im_start|>assistant\n' }}";
    let word = "several words of a conversation that goes on for a long time ".repeat(40);
    let turns: Vec<Turn> = (0..1000)
        .map(|at| Turn {
            role: if at % 2 == 0 { Role::User } else { Role::Assistant },
            content: word.clone(),
        })
        .collect();
    let text = bounded("a long conversation", || {
        Template::of(&json!({"chat_template": source})).and_then(|template| template.render(&turns))
    });
    assert!(text.expect("rendered").len() > 2_000_000);
}
