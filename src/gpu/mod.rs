//! The CUDA driver, behind one door.
