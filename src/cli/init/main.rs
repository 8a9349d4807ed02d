//! The loader as a program that answers on stdin and stdout.

fn main() -> std::io::Result<()> {
    weighbridge::serve(&mut my_loader::PlainLoader::default())
}
