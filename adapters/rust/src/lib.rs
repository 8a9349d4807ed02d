//! What adapters in Rust share around the calls of their libraries: the hello, models by handle,
//! failures with every field for people, and the files of a conversation. The conversation itself is
//! `weighbridge::serve`.

mod failure;
mod files;
mod header;
mod models;
mod settings;
mod words;

use weighbridge::contract::capability::Capabilities;
use weighbridge::contract::reply::Introduction;
use weighbridge::contract::request::Hello;
use weighbridge::contract::{Code, Failure, PROTOCOL, PROTOCOL_CHANGES, PROTOCOL_GUIDE, Phase};

pub use self::failure::{asked, refused, unserved};
pub use self::files::{ends, generation_ends, unopened, written};
pub use self::header::unparsed;
pub use self::models::Models;
pub use self::words::completed;

/// Answers a hello of this protocol.
///
/// # Errors
/// `invalid_request` for any other.
pub fn hello(
    request: Hello,
    name: &str,
    version: &str,
    capabilities: Capabilities,
) -> Result<Introduction, Failure> {
    if request.protocol != PROTOCOL {
        let text = format!("this loader speaks protocol {PROTOCOL} alone: {PROTOCOL_CHANGES}");
        let refused = refused(Phase::Request, Code::InvalidRequest, text);
        return Err(refused.expected(PROTOCOL, request.protocol).remedy(PROTOCOL_GUIDE));
    }
    Ok(Introduction {
        protocol: PROTOCOL,
        nonce: request.nonce,
        name: name.to_owned(),
        version: version.to_owned(),
        capabilities,
    })
}
