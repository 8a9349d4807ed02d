//! Writes the six small decoders to a folder, each with `ids.json` in its own subfolder.
//! `fixtures/decoders/goldens.py` reads them.

use std::path::PathBuf;
use std::{env, fs, io};

use weighbridge::harness::model::{decoders, file};

fn main() -> io::Result<()> {
    let into = PathBuf::from(env::args().nth(1).unwrap_or_else(|| "decoders".to_owned()));
    for recipe in decoders::all() {
        let folder = into.join(recipe.architecture.model_type());
        fs::create_dir_all(&folder)?;
        file::write_recipe(&recipe, &folder, &|_| ())?;
        fs::write(folder.join("ids.json"), serde_json::to_string(&decoders::ids(&recipe))?)?;
        println!("{}", folder.display());
    }
    Ok(())
}
