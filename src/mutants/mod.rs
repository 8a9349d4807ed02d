//! Loaders that tell one lie each.
