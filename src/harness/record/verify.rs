//! Verifies that a record is consistent, and that a report's judgement follows from its record.
//!
//! Every stored number is derived again and compared. All differences are listed.

mod cases;
mod checks;
mod findings;
mod judgement;
mod lists;

use self::findings::Findings;
pub use self::findings::Mismatch;
use super::journal::recover::Recovered;
use super::parts::contradictions;
use super::store::{EARLIER_REPORT_FORMAT, REPORT_FORMAT, Report, Stored};
use super::{EARLIER_FORMAT, FORMAT, Record};

impl Stored {
    /// Every inconsistency in the file; empty if there is none.
    pub fn verify(&self) -> Vec<Mismatch> {
        match self {
            Stored::Report(report) => report.verify(),
            Stored::Record(record) => record.verify(),
            Stored::Journal(recovered) => recovered.verify(),
        }
    }
}

impl Recovered {
    fn verify(&self) -> Vec<Mismatch> {
        let mut found = Findings::default();
        found.unless(!self.interrupted, "journal", || {
            format!("no footer: the run was interrupted, {} cases did not finish", self.unfinished)
        });
        found.0.extend(self.record.verify());
        found.0
    }
}

impl Report {
    /// Every inconsistency in the record, and between the record and the stored judgement.
    pub fn verify(&self) -> Vec<Mismatch> {
        let mut found = Findings::default();
        let earlier = self.record.format == EARLIER_FORMAT;
        let format = if earlier { EARLIER_REPORT_FORMAT } else { REPORT_FORMAT };
        found.same("format", format, self.format.as_str());
        found.0.extend(self.record.verify());
        found.judgements(&self.judgement, &self.record.judge());
        found.0
    }
}

impl Record {
    /// Every inconsistency in the record.
    pub fn verify(&self) -> Vec<Mismatch> {
        let mut found = Findings::default();
        if self.format != EARLIER_FORMAT {
            found.same("format", FORMAT, self.format.as_str());
        }
        found.unless(!self.parts.is_empty(), "parts", || "there is no run".to_owned());
        found.runs(self);
        found.seeds(self);
        found.requirements(&self.requirements);
        found.cases(self);
        found.checks(self);
        for (place, what) in contradictions(self) {
            found.unless(false, &place, || what);
        }
        found.table(self);
        found.lists(self);
        found.sums(self, &self.judge());
        found.0
    }
}

#[cfg(test)]
mod tests;
