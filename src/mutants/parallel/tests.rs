//! Tests the mutant that needs several cards, with a loader that pretends to have them.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::answers::card_of_first;
use crate::contract::Device;
use crate::contract::parallel::{Parallel, RankPlace};
use crate::contract::reply::Reply;
use crate::contract::request::{Load, Request};
use crate::loader::error::Result;
use crate::loader::infer::tests::decoder;
use crate::loader::{LoadDecisions, ReferenceLoader};
use crate::mutants::between::Between;

/// Loads to host memory, names the device that is asked for, and notes it.
struct Noted(Arc<Mutex<Vec<Device>>>);

impl LoadDecisions for Noted {
    fn device(&self, asked: Device, _opened: Result<()>) -> Result<Device> {
        self.0.lock().expect("held by nobody").push(asked);
        Ok(Device::Cpu)
    }

    fn claimed_device(&self, asked: Device, _real: Device) -> Device {
        asked
    }
}

#[test]
fn every_model_is_loaded_to_the_first_card_and_told_to_be_on_its_own() {
    let folder = TempDir::new().expect("a folder");
    let plain = decoder().save(folder.path());
    let noted = Arc::default();
    let mut loader = ReferenceLoader::with_decisions(Box::new(Noted(Arc::clone(&noted))));
    let mut lie = card_of_first();
    let ranks = vec![RankPlace { rank: 0, device: Device::Cpu }];
    let divided = Some(Parallel { tp: 1, pp: 1, replicas: 1, ranks });
    let (host, two, three) = (Device::Cpu, Device::Cuda(2), Device::Cuda(3));
    for (device, parallel, told) in [
        (host, None, host),
        (two, None, two),
        (three, None, three),
        (three, divided, three),
        (host, None, host),
    ] {
        let load = Load { device, parallel, ..plain.clone() };
        let Ok(Reply::Load(loaded)) = lie.answer(&mut loader, Request::Load(load)) else {
            panic!("not loaded");
        };
        assert_eq!(loaded.device, told);
    }
    let asked = noted.lock().expect("held by nobody").clone();
    assert_eq!(asked, [host, two, two, three, host], "a divided load is left alone");
}
