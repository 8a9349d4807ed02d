//! A loader in Rust as a program that answers on stdin and stdout: implement the trait, call
//! `serve`. `weighbridge init rust FOLDER` writes it as a separate crate.

mod loader;

fn main() -> std::io::Result<()> {
    weighbridge::serve(&mut loader::PlainLoader::default())
}
