//! The loader on the scale: `cargo test --test conformance`.

fn main() -> std::process::ExitCode {
    weighbridge::conformance("my-loader", "host", my_loader::PlainLoader::default)
}
