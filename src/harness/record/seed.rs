//! The seed of a run, which a loader must not know while the run goes on: it makes every file and answer.
//!
//! As long as loaders run, a journal holds only a commitment. At the end, seed and salt are told, and everybody can
//! see that the run had this seed from its beginning.

pub use super::commitment::SEALED;
use super::{CaseRecord, Part};

impl Part {
    /// Whether the run ended before it told its seed.
    pub fn is_sealed(&self) -> bool {
        self.seed == SEALED
    }

    /// Why the seed is not the one that the run committed to, if so.
    pub fn seed_fault(&self) -> Option<String> {
        let Some(commitment) = &self.commitment else {
            return self.is_sealed().then(|| "sealed, without a commitment".to_owned());
        };
        if self.is_sealed() && commitment.salt == SEALED {
            return None;
        }
        let derived = commitment.of(&self.seed);
        let stored = &commitment.sha256;
        (derived != *stored).then(|| {
            format!("the run committed to {stored}, but salt and seed {} give {derived}", self.seed)
        })
    }

    /// What must not be written down while the run goes on.
    pub fn secrets(&self) -> Vec<String> {
        let salt = self.commitment.as_ref().map(|commitment| commitment.salt.clone());
        salt.filter(|_| !self.is_sealed())
            .map_or_else(Vec::new, |salt| vec![self.seed.clone(), salt])
    }

    /// A command with the seed that was sealed when the command was written down; without a seed, if it was
    /// never told.
    pub fn unsealed(&self, command: &str) -> String {
        let told = if self.is_sealed() { String::new() } else { option(&self.seed) };
        command.replace(&option(SEALED), &told)
    }
}

impl CaseRecord {
    /// The case as it may be shown while the run goes on.
    pub fn without_secrets(&self, secrets: &[String]) -> CaseRecord {
        let mut case = self.clone();
        for secret in secrets {
            case.repeat = case.repeat.replace(&option(secret), "");
        }
        case
    }
}

/// A text in which every secret is sealed.
pub(super) fn sealed(text: String, secrets: &[String]) -> String {
    secrets.iter().fold(text, |text, secret| text.replace(secret, SEALED))
}

fn option(seed: &str) -> String {
    format!(" --seed 0x{seed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::record::{Commitment, sample};

    fn secret() -> Part {
        let part = sample::part("T1");
        Part { commitment: Some(Commitment::to(&part.seed, &[7; 32])), ..part }
    }

    #[test]
    fn a_commitment_is_what_sha256sum_says() {
        // printf 0707..07:00000000deadbeef | sha256sum
        let commitment = secret().commitment.unwrap();
        assert_eq!(commitment.salt, "07".repeat(32));
        assert_eq!(
            commitment.sha256,
            "b904647788d75e5996fdd798bfbba3e3c5d28fba481276fe9db03568dff1c5a1"
        );
    }

    #[test]
    fn another_seed_or_salt_is_noticed() {
        assert_eq!(secret().seed_fault(), None);
        let other = Part { seed: "00000000deadbeee".to_owned(), ..secret() };
        assert!(other.seed_fault().unwrap().contains("00000000deadbeee"));
        let mut other = secret();
        other.commitment.as_mut().unwrap().salt = "08".repeat(32);
        assert!(other.seed_fault().is_some());
        let mut never_told = secret();
        never_told.seed = SEALED.to_owned();
        assert!(never_told.seed_fault().is_some(), "the salt without the seed");
        never_told.commitment.as_mut().unwrap().salt = SEALED.to_owned();
        assert_eq!(never_told.seed_fault(), None);
        never_told.commitment = None;
        assert!(never_told.seed_fault().is_some());
    }

    #[test]
    fn a_sealed_command_gets_its_seed_back() {
        let part = secret();
        let command = format!("weighbridge certify --case a --seed 0x{} --jobs 1", part.seed);
        let hidden = sealed(command.clone(), &part.secrets());
        assert!(!hidden.contains(&part.seed), "{hidden}");
        assert_eq!(part.unsealed(&hidden), command);
        let never_told = Part { seed: SEALED.to_owned(), ..part };
        assert_eq!(never_told.unsealed(&hidden), "weighbridge certify --case a --jobs 1");
        assert_eq!(never_told.secrets(), Vec::<String>::new());
    }
}
