//! Opens a loaded model's device memory through the CUDA IPC handles that the loader exports.

use serde_json::json;

use crate::contract::reply::{Placement, Reply};
use crate::contract::request::{self, Request};
use crate::contract::{Device, Failure};
use crate::gpu::{self, ImportedBuffer};
use crate::harness::evidence::on_card;
use crate::harness::record::{Basis, Check};
use crate::harness::run::case_run::{CaseEnd, CaseRun};

/// A model's blocks, open until this is dropped.
pub struct Imported {
    blocks: Vec<ImportedBuffer>,
    /// Where in the blocks each tensor lies, as the loader reports it.
    pub placements: Vec<Placement>,
}

/// What came of a request for handles.
pub enum Asked {
    /// The blocks are open.
    Open(Imported),
    /// The loader gives none.
    Refused(Failure),
    /// A block does not open, for this reason.
    Shut(String),
}

impl Imported {
    /// Opens every exported block, asks the driver what kind of memory it is, and NVML whether the told card holds it.
    ///
    /// # Errors
    /// [`CaseEnd::Failed`] where a handle does not open or leads to other memory.
    pub fn open(case_run: &mut CaseRun<'_>, model: &str) -> Result<Imported, CaseEnd> {
        let (handle, device) = {
            let model = case_run.model(model)?;
            (model.handle, model.loaded.device)
        };
        Imported::open_of(case_run, handle, device, None)
    }

    /// The same for one rank of a divided model, on the rank's device.
    ///
    /// # Errors
    /// As above.
    pub fn open_of(
        case_run: &mut CaseRun<'_>,
        handle: u64,
        device: Device,
        rank: Option<u32>,
    ) -> Result<Imported, CaseEnd> {
        match Imported::ask(case_run, handle, device, rank)? {
            Asked::Open(imported) => {
                let card = case_run.card(device)?;
                on_told_card(case_run, card, &imported.blocks)?;
                Ok(imported)
            }
            Asked::Refused(failure) => Err(case_run.unexpected("device memory exported", &failure)),
            Asked::Shut(why) => Err(shut(case_run, why)),
        }
    }

    /// The same where the loader may refuse it, and where the process may end whose memory it has exported. Which card
    /// holds the memory is not asked.
    ///
    /// # Errors
    /// [`CaseEnd::Failed`] where a handle leads to other memory.
    pub fn ask(
        case_run: &mut CaseRun<'_>,
        handle: u64,
        device: Device,
        rank: Option<u32>,
    ) -> Result<Asked, CaseEnd> {
        let request = Request::Export(request::Export { handle, rank });
        let exported = match case_run.ask(request, 0)? {
            Ok(Reply::Export(exported)) => exported,
            Ok(other) => return Err(CaseEnd::Fault(format!("a {} reply to export", other.verb()))),
            Err(failure) => return Ok(Asked::Refused(failure)),
        };
        let card = case_run.card(device)?;
        let context = match card {
            Device::Cuda(ordinal) if card != case_run.device() => {
                gpu::Context::open(ordinal).map_err(|error| CaseEnd::Untested(error.to_string()))?
            }
            _ => case_run.context.gpu().map_err(CaseEnd::Untested)?.clone(),
        };
        let mut blocks = Vec::new();
        for block in &exported.blocks {
            let opened = ipc_handle(&block.ipc)
                .ok_or_else(|| "no 64-byte handle".to_owned())
                .and_then(|ipc| {
                    context.import(ipc, block.bytes as usize).map_err(|error| error.to_string())
                });
            let opened = match opened {
                Ok(opened) => opened,
                Err(error) => return Ok(Asked::Shut(error)),
            };
            let facts = gpu::pointer_facts(&context, opened.pointer())
                .map_err(|error| CaseEnd::Fault(error.to_string()))?;
            let ordinal = match card {
                Device::Cuda(ordinal) => ordinal as i32,
                Device::Cpu => -1,
            };
            case_run.check(Check::within(
                "kind of memory, by the driver",
                format!(
                    "device memory of device {ordinal}, not managed, at least {} bytes",
                    block.bytes
                ),
                format!(
                    "{} memory of device {}, {}managed, {} bytes",
                    if facts.is_device { "device" } else { "host" },
                    facts.ordinal,
                    if facts.managed { "" } else { "not " },
                    facts.range_bytes
                ),
                Basis::Observed,
            ))?;
            blocks.push(opened);
        }
        Ok(Asked::Open(Imported { blocks, placements: exported.tensors }))
    }

    /// A tensor's bytes in device memory.
    ///
    /// # Errors
    /// [`CaseEnd::Failed`] where the tensor lies outside of its block, or the memory cannot be
    /// read.
    pub fn read(
        &self,
        case_run: &mut CaseRun<'_>,
        placement: &Placement,
    ) -> Result<Vec<u8>, CaseEnd> {
        let mut bytes = vec![0; placement.bytes as usize];
        if bytes.is_empty() {
            return Ok(bytes);
        }
        let block = self.block(case_run, placement)?;
        let read = case_run.gathering(|_| block.read(placement.offset as usize, &mut bytes));
        if let Err(error) = read {
            case_run.check(Check::broken("device memory", "readable", error, Basis::Observed))?;
        }
        Ok(bytes)
    }

    /// Writes a tensor's bytes into device memory.
    ///
    /// # Errors
    /// As for reading; [`CaseEnd::Fault`] where the memory cannot be written.
    pub fn write(
        &self,
        case_run: &mut CaseRun<'_>,
        placement: &Placement,
        bytes: &[u8],
    ) -> Result<(), CaseEnd> {
        let wanted = format!("{} bytes", bytes.len());
        let claimed = format!("{} bytes", placement.bytes);
        let what = format!("size of {}", placement.name);
        case_run.check(Check::equal(what, wanted, claimed, Basis::Declared))?;
        let block = self.block(case_run, placement)?;
        let written = case_run.gathering(|_| block.write(placement.offset as usize, bytes));
        written.map_err(|error| CaseEnd::Fault(format!("writing by CUDA IPC: {error}")))
    }

    fn block(
        &self,
        case_run: &mut CaseRun<'_>,
        placement: &Placement,
    ) -> Result<&ImportedBuffer, CaseEnd> {
        let block = placement.block.and_then(|index| self.blocks.get(index as usize));
        let inside = block.filter(|block| {
            let end = placement.offset.checked_add(placement.bytes);
            end.is_some_and(|end| end <= block.bytes() as u64)
        });
        if let Some(block) = inside {
            return Ok(block);
        }
        let claim = json!(placement).to_string();
        let wanted = "inside an exported block";
        case_run.check(Check::broken("placement", wanted, claim, Basis::Observed))?;
        Err(CaseEnd::Failed)
    }
}

/// Records that a block does not open, and returns how the case ends.
pub fn shut(case_run: &mut CaseRun<'_>, why: String) -> CaseEnd {
    let check = Check::broken("exported block", "opens by CUDA IPC", why, Basis::Observed);
    case_run.check(check).err().unwrap_or(CaseEnd::Failed)
}

/// Checks that the card which the loader has told holds as much of its processes as these blocks have.
fn on_told_card(
    case_run: &mut CaseRun<'_>,
    card: Device,
    blocks: &[ImportedBuffer],
) -> Result<(), CaseEnd> {
    let range = |block: &ImportedBuffer| (block.pointer(), block.pointer() + block.bytes() as u64);
    let wanted = on_card::covered(blocks.iter().map(range).collect());
    let Device::Cuda(ordinal) = card else { return Ok(()) };
    if wanted == 0 {
        return Ok(());
    }
    let cards = gpu::device_count().map_err(|error| CaseEnd::Untested(error.to_string()))?;
    // Without a process of its own, nothing tells the loader's memory from the judge's.
    let family = case_run.family().unwrap_or_default();
    let check = case_run.gathering(|_| on_card::check(ordinal, wanted, &family, cards));
    case_run.check(check)
}

fn ipc_handle(hex: &str) -> Option<[u8; 64]> {
    if hex.len() != 128 || !hex.is_ascii() {
        return None;
    }
    let mut handle = [0; 64];
    for (byte, digits) in handle.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(handle)
}
