//! What the evidence of memory sees of this process: in a file of its own, since tests beside it would
//! take and give back memory of the same process.

use std::hint::black_box;

use weighbridge::contract::Device;
use weighbridge::harness::evidence::memory;

/// What is touched, and how much of that may go unseen, in bytes.
const TOUCHED: u64 = 64 << 20;
const UNSEEN: u64 = 4 << 20;

#[test]
fn what_is_held_and_what_was_held_is_seen() {
    let pid = std::process::id();
    let held = || memory::held_by(&[pid], Device::Cpu).expect("our own status");
    let touch = || black_box(vec![1u8; TOUCHED as usize]);

    let before = held();
    let block = touch();
    let after = held();
    assert!(after >= before + TOUCHED - UNSEEN, "{before} -> {after}");
    drop(block);
    assert!(held() <= after - TOUCHED + UNSEEN, "{after} -> {}", held());

    let before = memory::begin_peak(&[pid]).expect("our own memory");
    drop(touch());
    let peak = memory::peak(&[pid]).expect("our own status");
    assert!(peak >= before + TOUCHED - UNSEEN, "{before} -> {peak}");
    assert!(held() <= before + UNSEEN, "{before} -> {}", held());
}
