//! The pass over the data of a divided model on several devices: each brings a share of the files and hashes it,
//! and hands every rank its slices.
//!
//! The files are divided evenly among the devices, whatever the slices are. So every byte crosses to one device
//! once, and a chunk that crosses slices lies on one device whole, where its digest can be compared. Only then
//! are its bytes copied to the ranks that hold them: within the device, or card to card. A share comes in windows
//! of bounded size, so that a device needs memory for its slices and for one window.

mod windows;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use self::windows::{Window, windows};
use super::device_pass::evidence;
use super::device_pass::pieces::{lanes, pieces_of};
use super::device_pass::shared::{DevicePass, Place, SealOnce, sealed_of};
use super::evidence::{FileEvidence, PassInput};
use crate::contract::Phase;
use crate::gpu::{DeviceBuffer, Move, MoveKind, move_elements};
use crate::loader::device::fault;
use crate::loader::error::{LoadError, Result};
use crate::loader::memory::block::allocate;
use crate::loader::memory::divided_arena::{DividedArena, RankDevice};
use crate::loader::open::files::File;
use crate::loader::parallel::Divided;
use crate::loader::parallel::scatter::runs;
use crate::loader::read::stream;

/// Whether this pass serves a load: all ranks on devices that reach each other, every tensor as it is stored, and
/// nothing to count.
///
/// # Errors
/// Those of the devices.
pub fn serves(arena: &mut DividedArena<'_>, input: &PassInput<'_>) -> Result<bool> {
    let stored = |file: &File| {
        file.data_bytes() > 0
            && file.left_out.is_empty()
            && file.tensors.iter().all(|tensor| tensor.dtype == tensor.info.dtype)
    };
    Ok(!input.scan && input.files.iter().all(stored) && arena.devices_reach_each_other()?)
}

/// Brings every file to the ranks. Returns also how long each rank's device worked.
///
/// # Errors
/// Those of reading, of the seal and of the devices; the first of any device.
pub fn run(
    arena: &mut DividedArena<'_>,
    input: &PassInput<'_>,
) -> Result<(Vec<FileEvidence>, Vec<Duration>)> {
    let began = Instant::now();
    let divided = input.divided.ok_or_else(|| LoadError::internal("ranks without slices"))?;
    let sizes: Vec<u64> = input.files.iter().map(File::data_bytes).collect();
    let shares = windows(&sizes, divided.ranks.len());
    let pieces = shares.iter().flatten().map(|window| pieces_of([window.part()]).len());
    let most = lanes(input.files, pieces.max().unwrap_or(0), divided.ranks.len());
    let mut devices = arena.rank_devices(most)?;
    let buffers: Vec<Option<&DeviceBuffer>> = devices.iter().map(|device| device.buffer).collect();
    let (seal, stop) = (SealOnce::default(), AtomicBool::new(false));
    let share = Share { divided, input, buffers: &buffers, seal: &seal, stop: &stop };
    let done: Vec<Result<Duration>> = thread::scope(|scope| {
        let start = |(device, windows): (_, Vec<Window>)| {
            let share = &share;
            let work = move || {
                let done = share.bring(device, &windows);
                share.stop.fetch_or(done.is_err(), Relaxed);
                done.map(|()| began.elapsed())
            };
            let name = "device".to_owned();
            let thread = thread::Builder::new().name(name).spawn_scoped(scope, work);
            thread.map_err(|error| {
                share.stop.store(true, Relaxed);
                stream::no_thread(&error)
            })
        };
        let threads: Vec<_> = devices.iter_mut().zip(shares).map(start).collect();
        threads.into_iter().map(|thread| thread.and_then(stream::join)).collect()
    });
    let busy = done.into_iter().collect::<Result<_>>()?;
    let digests = match seal.read(input)? {
        None => vec![None; input.files.len()],
        Some(seal) => {
            let whole = |file: &File| Ok(Some(sealed_of(&seal, file)?.whole));
            input.files.iter().map(whole).collect::<Result<_>>()?
        }
    };
    Ok((evidence(input.files, digests, Vec::new()), busy))
}

/// What the devices share.
struct Share<'a> {
    divided: &'a Divided,
    input: &'a PassInput<'a>,
    /// The memory of each rank; `None` if it holds nothing.
    buffers: &'a [Option<&'a DeviceBuffer>],
    seal: &'a SealOnce,
    /// Set when a device has failed.
    stop: &'a AtomicBool,
}

impl Share<'_> {
    /// Brings the windows of one device.
    fn bring(&self, device: &mut RankDevice<'_>, windows: &[Window]) -> Result<()> {
        let largest = windows.iter().map(Window::bytes).max().unwrap_or(0);
        let image = allocate(&device.context, largest)?;
        for window in windows {
            if self.stop.load(Relaxed) {
                break;
            }
            let nothing = Place { start: 0, data: 0..0 };
            let mut places = vec![nothing; self.input.files.len()];
            places[window.file].data = window.data.clone();
            let pass = DevicePass {
                input: self.input,
                pieces: pieces_of([window.part()]),
                image: image.as_ref(),
                places,
                seal: self.seal,
                count: false,
                kernels: device.kernels.clone(),
                ordinal: device.ordinal,
            };
            pass.run(device.lanes)?;
            if let Some(image) = &image {
                self.hand_out(device, window, image)?;
            }
        }
        Ok(())
    }

    /// Copies what is in a window to the ranks.
    fn hand_out(
        &self,
        device: &RankDevice<'_>,
        window: &Window,
        image: &DeviceBuffer,
    ) -> Result<()> {
        let files = self.input.files;
        let first = files[..window.file].iter().map(|file| file.tensors.len()).sum();
        let tensors = &files[window.file].tensors;
        for (rank, buffer) in self.divided.ranks.iter().zip(self.buffers) {
            let moves: Vec<Move> = runs(rank, first, tensors, &window.data)
                .into_iter()
                .map(|run| Move {
                    from: run.from - window.data.start,
                    to: run.to,
                    count: run.bytes,
                    kind: MoveKind::Copy,
                })
                .collect();
            if moves.is_empty() {
                continue;
            }
            let Some(buffer) = buffer else {
                return Err(LoadError::internal("bytes for a rank without memory"));
            };
            let moved = move_elements(&device.kernels, image, buffer, &moves);
            moved.map_err(|error| fault(device.ordinal, Phase::Copy, &error))?;
        }
        Ok(())
    }
}
