//! The verdict in the words of somebody who decides about a release.

use crate::harness::record::judge::Certificate;
use crate::harness::record::{Report, Verdict};
use crate::harness::report::text::count;

/// What the certificate means, and what it does not mean.
pub fn meaning(report: &Report) -> String {
    let sums = &report.judgement.denominator;
    let of = |wanted: fn(Verdict) -> bool| -> u64 {
        let all = sums.by_verdict.iter().filter(|(verdict, _)| wanted(**verdict));
        all.map(|(_, number)| number).sum()
    };
    let requirements = |number: u64| count(number, "requirement", "requirements");
    let refuted = of(Verdict::refutes);
    let untested = of(|verdict| verdict == Verdict::Untested);
    match report.judgement.certificate {
        Certificate::Corroborated => {
            "The loader was tried, and everything that this certificate names \
            holds. It says nothing about what was not tried; that is listed below."
                .to_owned()
        }
        Certificate::Refuted => format!(
            "The loader does not do what it claims: {} refuted. Each fault below has the value that was \
             expected, the value that was found, and a command that shows it again.",
            if refuted == 1 {
                "1 requirement is".to_owned()
            } else {
                format!("{} are", requirements(refuted))
            }
        ),
        Certificate::Incomplete => format!(
            "No fault was found, but {} not decided. This is no certificate.",
            if untested == 1 {
                "1 requirement was".to_owned()
            } else {
                format!("{} were", requirements(untested))
            }
        ),
        Certificate::PartHolds => {
            "This is one part of a larger run. Nothing is certified before all parts \
            are merged."
                .to_owned()
        }
        Certificate::Quarantined => {
            "The GPU reported a hardware fault during the run, so its results prove \
            nothing about the loader."
                .to_owned()
        }
        Certificate::HarnessError => {
            "The judge itself failed, so nothing is certified. This says nothing \
            about the loader."
                .to_owned()
        }
    }
}

/// The colour of the certificate: `good`, `bad` or `open`.
pub const fn tone(certificate: Certificate) -> &'static str {
    match certificate {
        Certificate::Corroborated => "good",
        Certificate::Refuted => "bad",
        Certificate::PartHolds
        | Certificate::Incomplete
        | Certificate::Quarantined
        | Certificate::HarnessError => "open",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::sample;

    #[test]
    fn a_refuted_loader_is_not_called_untried_and_the_other_way_round() {
        let refuted = meaning(&Report::of(sample::record()));
        assert!(refuted.contains("refuted") && !refuted.contains("certificate names"), "{refuted}");
        let clean = Report::of(sample::clean());
        assert!(meaning(&clean).contains("says nothing about what was not tried"));
        let mut open = sample::clean();
        let id = open.cases[0].id.clone();
        open.cases[0] = sample::because(&id, Verdict::Untested, "no time");
        let open = Report::of(open);
        assert!(meaning(&open).starts_with("No fault was found, but 1 requirement was"));
        assert_eq!(tone(open.judgement.certificate), "open");
    }
}
