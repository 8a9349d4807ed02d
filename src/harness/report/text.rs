//! Makes a loader's text safe to print, and formats numbers and tables.
//!
//! Names, claims and stderr come from the loader under test. Such a text must not move a terminal's
//! cursor, end a table cell or start markup.

use std::fmt::Write;

use serde::Serialize;

/// One line without control or invisible characters. White space becomes a space, any other such
/// character `�`.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_whitespace() { ' ' } else { visible(c) }).collect()
}

/// Several lines, each as [`plain`]; only the line breaks are kept.
pub fn lines(text: &str) -> impl Iterator<Item = String> + '_ {
    text.lines().map(|line| plain(line.trim_end()))
}

/// One line of Markdown that shows the text literally.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in html(text).chars() {
        if matches!(c, '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '~' | '#') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// One line that shows the text literally inside an HTML element, where Markdown does not apply.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // On GitHub `@name` would notify that user. A comment separates the sign from the name.
            '@' => out.push_str("@<!-- -->"),
            _ => out.push(c),
        }
    }
    out
}

/// A Markdown code span. Backquotes inside become apostrophes, because they would end the span.
pub fn code(text: &str) -> String {
    format!("`{}`", plain(text).replace('`', "'"))
}

/// The first `limit` characters, then `...` if something was cut off.
pub fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// `1 case`, `2 cases`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A time given in microseconds, as text in us, ms or s.
pub fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// A size given in bytes, as text in B, KiB, MiB or GiB.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

/// A table that can be rendered as aligned text or as Markdown, or laid out by a template.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    head: Vec<String>,
    rows: Vec<Row>,
    /// Number of leading columns that hold words. They are left-aligned, the others right-aligned.
    words: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    cells: Vec<String>,
    /// Whether its last cell is a sentence that may be wider than any column.
    runs_on: bool,
}

impl Table {
    /// A table whose first `words` columns are words; the others are numbers. A heading of empty words
    /// is not shown in text.
    pub fn new<S: Into<String>>(words: usize, head: impl IntoIterator<Item = S>) -> Self {
        Table { head: head.into_iter().map(Into::into).collect(), rows: Vec::new(), words }
    }

    /// Adds a row. Missing cells are empty; extra cells are dropped.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.head.len(), String::new());
        self.rows.push(Row { cells: row, runs_on: false });
    }

    /// Adds a row whose last cell is a sentence: it runs on over the columns that the row lacks.
    pub fn sentence<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut cells: Vec<String> = cells.into_iter().map(Into::into).collect();
        cells.truncate(self.head.len());
        self.rows.push(Row { cells, runs_on: true });
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Plain text with aligned columns, separated by two spaces.
    pub fn text(&self) -> String {
        let head = (!self.head.iter().all(String::is_empty)).then_some((&self.head, false));
        let rows = self.rows.iter().map(|row| (&row.cells, row.runs_on));
        let all: Vec<(Vec<String>, bool)> = head
            .into_iter()
            .chain(rows)
            .map(|(row, runs_on)| (row.iter().map(|cell| plain(cell)).collect(), runs_on))
            .collect();
        let width = |column: usize| -> usize {
            let fits =
                |(row, runs_on): &&(Vec<String>, bool)| column + usize::from(*runs_on) < row.len();
            let cells = all.iter().filter(fits).map(|(row, _)| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut out = String::new();
        for (row, runs_on) in &all {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                let wide = widths[column];
                // Writing to a String does not fail.
                let _ = if column < self.words || *runs_on {
                    write!(line, "{gap}{cell:<wide$}")
                } else {
                    write!(line, "{gap}{cell:>wide$}")
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let mut cells: Vec<String> = cells.iter().map(|cell| markdown(cell)).collect();
            cells.resize(self.head.len(), String::new());
            format!("| {} |\n", cells.join(" | "))
        };
        let mut out = line(&self.head);
        for column in 0..self.head.len() {
            out.push_str(if column < self.words { "|---" } else { "|--:" });
        }
        out.push_str("|\n");
        out.extend(self.rows.iter().map(|row| line(&row.cells)));
        out
    }
}

fn visible(c: char) -> char {
    // Bidirectional overrides reorder text, and invisible marks hide in it.
    let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if c.is_control() || hidden { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_and_a_table_cell_survive_hostile_text() {
        assert_eq!(plain("\x1b[2Ja\tb\r\nc\u{202e}d"), "\u{fffd}[2Ja b  c\u{fffd}d");
        assert_eq!(markdown("a|b\n<i>@x"), "a\\|b &lt;i&gt;@<!-- -->x");
        assert_eq!(html("a|b_<i>"), "a|b_&lt;i&gt;");
        assert_eq!(code("a`b\nc"), "`a'b c`");
        assert_eq!(lines("a\nb\x07\n").collect::<Vec<_>>(), ["a", "b\u{fffd}"]);
    }

    #[test]
    fn quantities_read_well_at_the_edges() {
        assert_eq!(
            [duration(999), duration(1_000), duration(2_500_000)],
            ["999 us", "1.0 ms", "2.5 s"]
        );
        assert_eq!([size(1023), size(1024), size(3 << 30)], ["1023 B", "1.0 KiB", "3.0 GiB"]);
        assert_eq!([count(1, "case", "cases"), count(0, "case", "cases")], ["1 case", "0 cases"]);
        assert_eq!([cut("äöü", 2), cut("äö", 2)], ["äö...", "äö"]);
    }

    #[test]
    fn words_stand_left_and_numbers_right() {
        let mut table = Table::new(1, ["section", "points"]);
        table.row(["a|b", "7"]);
        table.row(["only"]);
        assert_eq!(table.text(), "section  points\na|b           7\nonly\n");
        assert_eq!(
            table.markdown(),
            "| section | points |\n|---|--:|\n| a\\|b | 7 |\n| only |  |\n"
        );
    }

    #[test]
    fn a_sentence_runs_on_and_an_empty_heading_is_left_out() {
        let mut table = Table::new(1, ["", "", ""]);
        table.row(["disk", "1.25", "70"]);
        table.sentence(["memory", "holds its files\nitself"]);
        assert_eq!(table.text(), "disk    1.25  70\nmemory  holds its files itself\n");
    }
}
