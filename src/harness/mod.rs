//! The judge: requirements and cases as data, fixtures, the conversation with a loader, evidence,
//! verdicts and reports. Nothing here knows the bundled loader.

pub mod against;
pub mod attest;
pub mod audit;
pub mod boundaries;
pub mod case;
pub mod cell;
pub mod class;
pub mod client;
pub mod evidence;
pub mod family;
pub mod fixture;
pub mod hex;
pub mod known;
pub mod manifest;
pub mod model;
pub mod oracle;
pub mod plan;
pub mod record;
pub mod regular;
pub mod report;
pub mod run;
pub mod scratch;
pub mod spec;
pub mod submission;
pub mod template;
