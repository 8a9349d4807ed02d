//! The moment at which a template is rendered, and `strftime_now`.

use chrono::{Datelike, Timelike};

use super::fault::{Result, unknown};
use super::machine::Machine;

const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A date with a time of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub chrono::NaiveDateTime);

impl Moment {
    /// Now, by this machine's clock and zone.
    pub fn now() -> Moment {
        Moment(chrono::Local::now().naive_local())
    }

    /// Microseconds since 1970, as if this were UTC.
    pub fn micros(self) -> i64 {
        self.0.and_utc().timestamp_micros()
    }

    /// The moment of so many microseconds; `None` beyond the calendar.
    pub fn of_micros(micros: i64) -> Option<Moment> {
        chrono::DateTime::from_timestamp_micros(micros).map(|utc| Moment(utc.naive_utc()))
    }

    /// The same time of the next day.
    pub fn next_day(self) -> Moment {
        Moment(self.0 + chrono::TimeDelta::days(1))
    }

    /// The moment in a form of Python's `strftime`, written out here. It tells the machine when the
    /// form asks for more than the date.
    pub fn write(&self, form: &str, machine: &Machine) -> Result<String> {
        let at = self.0;
        let mut out = String::new();
        let mut letters = form.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            let mut code = letters.next();
            let bare = code == Some('-');
            if bare {
                code = letters.next();
            }
            let padded = |value: u32, width: usize| {
                if bare { value.to_string() } else { format!("{value:0width$}") }
            };
            let day = DAYS[at.weekday().num_days_from_monday() as usize % 7];
            let month = MONTHS[at.month0() as usize % 12];
            if let Some('H' | 'I' | 'M' | 'S' | 'p' | 'T' | 'R') = code {
                machine.tells_the_time();
            }
            out.push_str(&match code {
                Some('Y') => at.year().to_string(),
                Some('y') => padded(at.year().rem_euclid(100) as u32, 2),
                Some('m') => padded(at.month(), 2),
                Some('d') => padded(at.day(), 2),
                Some('j') => padded(at.ordinal(), 3),
                Some('B') if !bare => month.to_owned(),
                Some('b' | 'h') if !bare => month[..3].to_owned(),
                Some('A') if !bare => day.to_owned(),
                Some('a') if !bare => day[..3].to_owned(),
                Some('F') if !bare => {
                    format!("{:04}-{:02}-{:02}", at.year(), at.month(), at.day())
                }
                Some('H') => padded(at.hour(), 2),
                Some('I') => padded(at.hour12().1, 2),
                Some('M') => padded(at.minute(), 2),
                Some('S') => padded(at.second(), 2),
                Some('p') if !bare => if at.hour() < 12 { "AM" } else { "PM" }.to_owned(),
                Some('T') if !bare => {
                    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
                }
                Some('R') if !bare => format!("{:02}:{:02}", at.hour(), at.minute()),
                Some('%') if !bare => "%".to_owned(),
                _ => return unknown(format!("strftime_now('{form}')")),
            });
        }
        Ok(out)
    }
}
