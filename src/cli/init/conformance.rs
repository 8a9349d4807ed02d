//! Tests the loader with the conformance suite: `cargo test --test conformance`.

fn main() -> std::process::ExitCode {
    weighbridge::conformance("my-loader", "host", my_loader::PlainLoader::default)
}
