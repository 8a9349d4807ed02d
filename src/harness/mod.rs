//! The judge: requirements and cases as data, fixtures, the conversation with a loader, evidence,
//! verdicts and reports. Nothing here knows the bundled loader.

pub mod case;
pub mod record;
pub mod report;
