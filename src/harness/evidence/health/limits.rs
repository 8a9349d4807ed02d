//! The limits of a healthy card, and where each comes from.

/// Device memory that the largest loads of the suite need: 6.2 GB of weights in F32, their cache, kernels
/// and the harness's own context, in bytes.
pub const NEEDED: u64 = 8 << 30;

/// Share of a card's memory that is enough on a card with less than [`NEEDED`]: what does not fit on a small
/// card is for the cases to say.
pub const SMALL_CARD: f64 = 0.75;

/// Least share of its highest clock that a busy card must reach. A card under a power cap or with locked
/// clocks stays far above; a card that is stuck at its idle clock is at 0.1 to 0.2.
pub const CLOCK: f64 = 0.25;

/// Least share of the best link's rate at which pinned memory must be copied. A healthy card reaches 0.87;
/// eight cards that copy at once from one host reach 0.4; four lanes of sixteen give 0.2.
pub const COPY: f64 = 0.25;

/// The same where the link runs below its best: half the lanes, or one generation less, give half the rate.
pub const COPY_ON_LESS: f64 = 0.5;

/// How far back the kernel log counts, in seconds. An older error is over, or one of the other readings
/// still shows it.
pub const LOG_SECONDS: f64 = 3600.0;

/// Rate of one lane in GB/s, for each generation of PCIe from 1 on: transfers a second and encoding by the
/// specification.
const LANE_GBPS: [f64; 6] = [0.25, 0.5, 0.985, 1.969, 3.938, 7.563];

/// Rate of a link in GB/s; nothing for a generation that has no figure here.
pub fn link_gbps(generation: u32, width: u32) -> Option<f64> {
    let index = usize::try_from(generation).ok()?.checked_sub(1)?;
    LANE_GBPS.get(index).map(|lane| lane * f64::from(width)).filter(|rate| *rate > 0.0)
}

/// What an Xid error says of the hardware, by NVIDIA's catalogue of Xid errors. Errors that programs cause
/// (13, 31, 43, 45 and others) are not here: a loader that is refused makes them on a healthy card. Nor is
/// 154, which reports a change of the advice to reset, also when it is withdrawn.
const XIDS: [(u64, &str); 13] = [
    (48, "double-bit memory error"),
    (61, "breakpoint of the internal controller"),
    (62, "halt of the internal controller"),
    (64, "a faulty page or row could not be replaced"),
    (74, "NVLink error"),
    (79, "fallen off the bus"),
    (92, "many single-bit memory errors"),
    (94, "contained memory error"),
    (95, "uncontained memory error"),
    (119, "no answer from the system processor"),
    (120, "error of the system processor"),
    (140, "memory error that could not be recovered"),
    (143, "the card could not be initialised"),
];

/// What an Xid number says of the hardware; nothing if a program may have caused it.
pub fn hardware_xid(number: u64) -> Option<&'static str> {
    XIDS.iter().find(|(own, _)| *own == number).map(|(_, text)| *text)
}
