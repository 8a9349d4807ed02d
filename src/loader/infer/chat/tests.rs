//! Tests that each fault of a chat template has its own code and remedy.

use serde_json::json;

use super::*;
use crate::contract::generation::Role;

#[test]
fn every_cause_has_its_own_remedy() {
    let rows = [
        ("{{ strftime_now('%d') }}", TEMPLATE_NOT_SUPPORTED, "strftime_now"),
        ("{{ messages | shout }}", TEMPLATE_NOT_SUPPORTED, "shout"),
        ("{{ raise_exception('Roles must alternate') }}", TEMPLATE_REFUSES, "Roles must alternate"),
        (
            "{% for a in range(99999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}",
            TEMPLATE_ENDLESS,
            "fuel",
        ),
        ("{% if %}", TEMPLATE_NOT_PARSED, "chat:1"),
        ("{{ messages[0].content[0].x.y }}", TEMPLATE_FAILS, "undefined"),
    ];
    for (source, row, word) in rows {
        let turns = [Turn { role: Role::User, content: "hello".to_owned() }];
        let rendered = Template::of(&json!({"chat_template": source}))
            .and_then(|template| template.render(&turns));
        let failure = rendered.expect_err(source).failure().clone();
        assert_eq!(failure.remedy.as_deref(), Some(row.text), "{source}: {failure:?}");
        assert!(failure.actual.is_some_and(|actual| actual.contains(word)), "{source}");
    }
}
