//! The report, and a comparison of reports, as one HTML page: for whoever signs a release off.
//!
//! A page is one file that loads nothing: style, script and charts stand in it. Every text is escaped and freed
//! of invisible characters, because names, claims and messages come from the loader under test.

mod charts;
mod view;
mod words;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, HtmlEscape, UndefinedBehavior, context};

use super::Titles;
use super::compare::Comparison;
use super::gate::Closed;
use super::text::plain;
use crate::harness::record::Report;

/// The page of a report. It needs no network, can be printed, and works without its script, which only
/// searches and filters. `signature` says who vouches for the report, if that was checked.
///
/// # Errors
///
/// A fault in the page's template.
pub fn page(
    report: &Report,
    titles: &Titles,
    signature: Option<&str>,
) -> Result<String, minijinja::Error> {
    let page = view::Page::of(report, titles, signature);
    let data = context! { page => Value::from(Serde(page)) };
    fill("report.html", include_str!("report.html"), &data)
}

/// The page of a comparison, with the reasons against each later report.
///
/// # Errors
///
/// A fault in the page's template.
pub fn comparison(
    comparison: &Comparison,
    titles: &Titles,
    closed: &[(&str, Vec<Closed>)],
) -> Result<String, minijinja::Error> {
    let changes = comparison.changes_in_words();
    fill(
        "comparison.html",
        include_str!("comparison.html"),
        &context! {
            table => Value::from(Serde(comparison.table(titles))),
            later => changes.len(),
            changes => Value::from(Serde(changes)),
            closed => Value::from(Serde(closed)),
            is_open => closed.iter().all(|(_, reasons)| reasons.is_empty()),
        },
    )
}

/// Fills a page's template, which may extend `frame.html`. Every value is escaped.
///
/// # Errors
///
/// A fault in the template.
pub fn fill(name: &str, template: &str, data: &Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => {
            write!(out, "{}", HtmlEscape(&shown(text))).map_err(minijinja::Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    environment.add_global("style", Value::from_safe_string(include_str!("style.css").to_owned()));
    environment.add_global("script", Value::from_safe_string(include_str!("filter.js").to_owned()));
    environment.add_template("frame.html", include_str!("frame.html"))?;
    environment.add_template(name, template)?;
    environment.get_template(name)?.render(data)
}

/// A text without anything that a reader cannot see; its line breaks are kept.
fn shown(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::{Verdict, sample};
    use crate::harness::report::gate;

    #[test]
    fn a_page_says_the_verdict_and_shows_what_failed_and_what_was_not_tried() {
        let report = Report::of(sample::record());
        let page = page(&report, &Titles::new(), None).expect("the template is sound");
        for part in ["Refuted", "LOAD-002::every_byte", "all equal", "7 differ", "large_file"] {
            assert!(page.contains(part), "no {part:?}");
        }
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "the page loads something: {outside}");
        }
    }

    #[test]
    fn a_clean_record_has_no_list_of_failures() {
        let clean =
            page(&Report::of(sample::clean()), &Titles::new(), Some("by a key")).expect("sound");
        assert!(clean.contains("Corroborated") && !clean.contains("id=\"failed\""));
        assert!(clean.contains("by a key"));
    }

    #[test]
    fn a_loader_cannot_write_markup() {
        let hostile = "</script><script>alert(1)</script>\u{1b}[31m\u{202e}\"'`|*";
        let mut record = sample::record();
        record.subject.loader = hostile.to_owned();
        record.parts[0].command = vec![hostile.to_owned()];
        record.parts[0].capabilities.insert(hostile.to_owned(), hostile.to_owned());
        let id = record.cases[2].id.clone();
        let mut failed = sample::because(&id, Verdict::Fail, hostile);
        failed.stderr = Some(hostile.to_owned());
        record.cases[2] = failed;
        let page = page(&Report::of(record), &Titles::new(), None).expect("sound");
        assert!(!page.contains("<script>alert") && !page.contains("</script><script"), "{page}");
        assert!(!page.contains('\u{1b}') && !page.contains('\u{202e}'));
        assert!(page.contains("&lt;script&gt;alert(1)"));
        assert_eq!(page.matches("<script").count(), 1);
    }

    #[test]
    fn a_comparison_names_each_change() {
        let mut later = sample::record();
        later.cases[0] = sample::because(&later.cases[0].id, Verdict::Fail, "broken now");
        let both = [("a".to_owned(), sample::record()), ("b<i>".to_owned(), later)];
        let closed = [("b<i>", gate::closed(&both[0].1, &both[1].1))];
        let page = comparison(&Comparison::of(&both), &Titles::new(), &closed).expect("sound");
        assert!(page.contains("1 requirement refuted now"), "{page}");
        assert!(page.contains("regressed") && page.contains("LOAD-001"), "{page}");
        assert!(page.contains("b&lt;i&gt;") && !page.contains("b<i>"));
    }
}
