//! Numbers in a text, and the bounds that another text has in their places.

/// A number as it is written, compared without rounding.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(i128),
    Real(f64),
}

/// One piece of an expected text.
enum Piece<'a> {
    Word(&'a str),
    AtMost(Number),
    Below(Number),
    AtLeast(Number),
    Above(Number),
    Between(Option<Number>, Option<Number>),
}

/// What ends a word and belongs to the sentence.
const ENDS: [char; 3] = [',', ';', ':'];

/// Whether `found` is `expected` with a number within its bound in the place of each bound.
pub(super) fn within(expected: &str, found: &str) -> bool {
    let pieces = pieces(expected);
    let is_bound = |piece: &Piece<'_>| !matches!(piece, Piece::Word(_));
    let mut words = found.split(' ');
    let mut last = "";
    for piece in &pieces {
        let Some(word) = words.next() else { return false };
        last = word;
        if !piece.fits(word) {
            return false;
        }
    }
    pieces.iter().any(is_bound) && (words.next().is_none() || last.ends_with(ENDS))
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let words: Vec<&str> = text.split(' ').collect();
    let number = |at: usize| words.get(at).copied().and_then(Number::read);
    let end = |at: usize| match words.get(at).copied() {
        Some("any") => Some(None),
        _ => number(at).map(Some),
    };
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(word) = words.get(at).copied() {
        let second = words.get(at + 1).copied();
        let (piece, length) = match (word, second) {
            ("at", Some("most")) => (number(at + 2).map(Piece::AtMost), 3),
            ("at", Some("least")) => (number(at + 2).map(Piece::AtLeast), 3),
            ("more", Some("than")) => (number(at + 2).map(Piece::Above), 3),
            ("above", _) => (number(at + 1).map(Piece::Above), 2),
            ("below", _) => (number(at + 1).map(Piece::Below), 2),
            (_, Some("to")) => {
                let ends = end(at).zip(end(at + 2));
                (ends.map(|(least, most)| Piece::Between(least, most)), 3)
            }
            _ => (None, 1),
        };
        match piece {
            Some(piece) => {
                all.push(piece);
                at += length;
            }
            None => {
                all.push(Piece::Word(word));
                at += 1;
            }
        }
    }
    all
}

impl Piece<'_> {
    fn fits(&self, word: &str) -> bool {
        if let Piece::Word(own) = self {
            return own.trim_end_matches(ENDS) == word.trim_end_matches(ENDS);
        }
        let Some(found) = Number::read(word) else { return false };
        match *self {
            Piece::Word(_) => false,
            Piece::AtMost(most) => found.at_most(most),
            Piece::Below(limit) => !limit.at_most(found) && found.at_most(limit),
            Piece::AtLeast(least) => least.at_most(found),
            Piece::Above(limit) => !found.at_most(limit) && limit.at_most(found),
            Piece::Between(least, most) => {
                least.is_none_or(|least| least.at_most(found))
                    && most.is_none_or(|most| found.at_most(most))
            }
        }
    }
}

impl Number {
    fn read(word: &str) -> Option<Number> {
        let word = word.trim_end_matches(ENDS);
        let whole = word.parse().ok().map(Number::Whole);
        whole.or_else(|| word.parse().ok().map(Number::Real))
    }

    /// Whether this is at most that; never, where either is no number.
    fn at_most(self, other: Number) -> bool {
        match (self, other) {
            (Number::Whole(own), Number::Whole(other)) => own <= other,
            (own, other) => own.real() <= other.real(),
        }
    }

    fn real(self) -> f64 {
        match self {
            Number::Whole(whole) => whole as f64,
            Number::Real(real) => real,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn a_number_is_held_against_the_bound_in_its_place() {
        for (expected, found, holds) in [
            ("at most 5", "5", true),
            ("at most 5", "5.000000000000001", false),
            ("below 5 ms", "5 ms", false),
            ("below 5 ms", "4.999 ms", true),
            ("below 5 ms", "4.999", false),
            ("below 5 ms", "4 s", false),
            ("below 5 ms", "NaN ms", false),
            ("at least 1 GB/s", "1 GB/s", true),
            ("above 1 GB/s", "1 GB/s", false),
            ("more than 7", "8", true),
            ("above 1", "inf", true),
            ("10 to 20", "9", false),
            ("10 to 20", "20", true),
            ("10 to any", "9", false),
            ("any to 20", "-5", true),
            ("18446744073709551614 to 18446744073709551614", "18446744073709551615", false),
            ("at most 1e-5 off the oracle's", "2.10e-7 off the oracle's, at value 3", true),
            ("at most 1e-5 off the oracle's", "2.10e-7 off the oracle's at value 3", false),
            ("at most 1e-5 off the oracle's", "inf off the oracle's, at value 3", false),
            ("norm below 1e-4 off, values below 1e-4", "norm 0 off, values 1e-5", true),
            ("norm below 1e-4 off, values below 1e-4", "norm 0 off, values 1e-3", false),
            ("2 tensors, 0 to 3 exempt", "2 tensors, 4 exempt", false),
            ("2 tensors, 0 to 3 exempt", "3 tensors, 3 exempt", false),
            ("at most 5", "not reported", false),
            ("at most 5", "4 5", false),
            ("no bound", "no bound", false),
        ] {
            assert_eq!(within(expected, found), holds, "{expected}, {found}");
        }
    }
}
