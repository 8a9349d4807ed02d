//! realizar's gates over one tensor: its own validated types, chosen by the tensor's role as in its
//! converter, and the number of elements that each of the contract's gates has checked.

use realizar::safetensors::validation::{ValidatedEmbedding, ValidatedVector, ValidatedWeight};
use weighbridge::contract::reply::{Gate, GateReport};
use weighbridge::contract::{Failure, Phase};

use crate::failure::{asked, rule};

/// What the gates have checked so far.
#[derive(Default)]
pub struct Gates {
    reports: Vec<GateReport>,
}

impl Gates {
    /// Has realizar validate one tensor's values.
    pub fn judge(&mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<(), Failure> {
        let elements = values.len() as u64;
        let part = |word: &str| name.split('.').any(|part| part == word);
        let embedding = name.contains("embed") || part("wte") || part("wpe");
        let (gates, verdict) = match shape {
            [rows, columns] if embedding => {
                let spots = 3 * (*columns as u64);
                let counts = Gate::ALL.map(|gate| match gate {
                    Gate::SpotCheck => (gate, spots),
                    _ => (gate, elements),
                });
                let verdict =
                    asked(Phase::Admit, || Ok(ValidatedEmbedding::new(values, *rows, *columns)))?;
                (counts.to_vec(), verdict.map(drop))
            }
            [] | [_] => {
                let verdict = asked(Phase::Admit, || {
                    Ok(ValidatedVector::new(values, elements as usize, name))
                })?;
                (vec![(Gate::NonFinite, elements)], verdict.map(drop))
            }
            [rows, columns @ ..] => {
                let columns = columns.iter().product();
                let verdict =
                    asked(Phase::Admit, || Ok(ValidatedWeight::new(values, *rows, columns, name)))?;
                let looked = [Gate::Density, Gate::NonFinite, Gate::Norm];
                (looked.map(|gate| (gate, elements)).to_vec(), verdict.map(drop))
            }
        };
        // An embedding's error calls it "embedding" whatever it is called in the file.
        verdict.map_err(|error| rule(&error).tensor(name))?;
        self.count(&gates);
        Ok(())
    }

    /// One report a gate.
    pub fn reports(self) -> Vec<GateReport> {
        self.reports
    }

    fn count(&mut self, looked: &[(Gate, u64)]) {
        if self.reports.is_empty() {
            let none = |gate| GateReport { gate, checked: 0, exempt: 0, elements: 0 };
            self.reports = Gate::ALL.map(none).to_vec();
        }
        for report in &mut self.reports {
            match looked.iter().find(|(gate, _)| *gate == report.gate) {
                Some((_, elements)) => {
                    report.checked += 1;
                    report.elements += elements;
                }
                None => report.exempt += 1,
            }
        }
    }
}
