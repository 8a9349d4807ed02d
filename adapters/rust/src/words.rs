//! What a failure says to people where the library's error has no fields for it: what its code expects, and what
//! to do. What was found is then what the library said.

use weighbridge::contract::{Class, Code, Failure};

/// Fills the fields that are still empty. What a library or its adapter already said stays.
///
/// A lack of memory gets no numbers: nobody but the library knows them.
pub fn completed(mut failure: Failure) -> Failure {
    let (expected, remedy) = words(failure.class, failure.code);
    let actual = &failure.message;
    failure.actual = filled(failure.actual, actual);
    failure.expected = filled(failure.expected, expected);
    failure.remedy = filled(failure.remedy, remedy);
    failure
}

fn filled(said: Option<String>, otherwise: &str) -> Option<String> {
    Some(said.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| otherwise.to_owned()))
}

/// What a code expects, and what to do about it. No remedy knows more than the code.
fn words(class: Class, code: Code) -> (&'static str, &'static str) {
    // A code's special cases share the words of the code.
    match code.family().unwrap_or(code) {
        Code::NotFound => ("a file at this path", "name a file that exists"),
        Code::NotAFile => ("a regular file", "name a regular file"),
        Code::Unreadable | Code::ReadFailed => {
            ("a file that can be read", "name a file that this process may read")
        }
        Code::InvalidHeader | Code::ForeignFormat => {
            ("a header as the safetensors format defines it", "give a sound safetensors file")
        }
        Code::InvalidLayout => (
            "offsets that agree with the shapes and the file",
            "give a whole, sound safetensors file",
        ),
        Code::UnsupportedDtype => {
            ("an element type of the library", "store the tensor in an element type of the library")
        }
        Code::GateFailed => {
            ("values that pass the gates", "mend the weights, or load without `admit`")
        }
        Code::CudaUnavailable | Code::InvalidDevice | Code::DeviceFault => {
            ("this device to work", "run where this device works, or ask for another device")
        }
        Code::OutOfHostMemory | Code::OutOfDeviceMemory => {
            ("enough memory", "free memory, or load a smaller model")
        }
        Code::OutOfDisk => ("room for the file", "free space on the disk"),
        Code::InvalidConfig => {
            ("a config.json that the library accepts", "give the model's own config.json")
        }
        Code::UnknownArchitecture => {
            ("a model_type that the library runs", "use a loader that declares this architecture")
        }
        Code::IncompleteModel => (
            "every tensor that the library asks for",
            "give the file with all tensors of the model",
        ),
        Code::ShapeMismatch => (
            "tensors of the shapes that the configuration gives",
            "give the config.json that belongs to the weights",
        ),
        Code::InvalidInput => {
            ("an input that the library takes", "give tokens that fit the model and the library")
        }
        Code::InvalidRequest => ("a request of the contract", "send a request of the contract"),
        Code::UnknownHandle => (
            "the handle of a loaded model",
            "send a handle that `load` gave and `unload` did not free",
        ),
        Code::UnsupportedCapability => {
            ("what the hello declares", "use a loader whose hello declares this capability")
        }
        _ if class == Class::Internal => (
            "an answer, or a refusal by a code of the contract",
            "report this to the library's authors",
        ),
        _ => (
            "a request that the library accepts",
            "change the request or its files as the message says",
        ),
    }
}

#[cfg(test)]
mod tests {
    use weighbridge::contract::{Class, Code, Failure, Phase};

    use super::completed;

    fn of(class: Class, code: Code) -> Failure {
        completed(Failure::new(class, Phase::Header, code, "said by the library"))
    }

    #[test]
    fn what_was_found_is_what_the_library_said() {
        let failure = of(Class::Refused, Code::IncompleteModel);
        assert_eq!(failure.actual.as_deref(), Some("said by the library"));
        assert_eq!(failure.expected.as_deref(), Some("every tensor that the library asks for"));
        assert_eq!(failure.remedy.as_deref(), Some("give the file with all tensors of the model"),);
    }

    #[test]
    fn what_is_already_said_stays() {
        let failure = Failure::new(Class::Refused, Phase::Header, Code::ShapeMismatch, "mismatch");
        let failure = completed(failure.expected("[2, 3]", "[3, 2]").remedy("transpose it"));
        assert_eq!(failure.expected.as_deref(), Some("[2, 3]"));
        assert_eq!(failure.actual.as_deref(), Some("[3, 2]"));
        assert_eq!(failure.remedy.as_deref(), Some("transpose it"));
        assert_eq!(failure.message, "mismatch");
    }

    #[test]
    fn an_empty_field_counts_as_unsaid() {
        let failure = Failure::new(Class::Refused, Phase::Open, Code::NotFound, "no such file");
        let failure = completed(failure.expected(" ", ""));
        assert_eq!(failure.expected.as_deref(), Some("a file at this path"));
        assert_eq!(failure.actual.as_deref(), Some("no such file"));
    }

    #[test]
    fn a_special_case_has_the_words_of_its_code() {
        let broad = of(Class::Refused, Code::InvalidLayout);
        assert_eq!(of(Class::Refused, Code::SizeOverflow).expected, broad.expected);
        assert_ne!(of(Class::Refused, Code::NotFound).expected, broad.expected);
    }

    #[test]
    fn a_fault_of_the_library_is_no_request_to_change() {
        let fault = of(Class::Internal, Code::Internal);
        assert_eq!(fault.remedy.as_deref(), Some("report this to the library's authors"));
    }

    #[test]
    fn no_number_of_bytes_is_invented() {
        let failure = of(Class::Resource, Code::OutOfHostMemory);
        assert_eq!((failure.requested_bytes, failure.available_bytes), (None, None));
        assert!(failure.remedy.is_some());
    }
}
