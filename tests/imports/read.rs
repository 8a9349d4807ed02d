//! Reads Rust files into modules: what each defines, what it brings into scope, what it names.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// One module, with what is needed to follow a path through it.
#[derive(Default)]
pub struct Module {
    /// The file that it stands in.
    pub file: String,
    /// Its child modules.
    pub children: BTreeSet<String>,
    /// The items that it defines.
    pub items: BTreeSet<String>,
    /// The names that its `use` declarations bind, each with the path behind it.
    pub names: BTreeMap<String, Vec<String>>,
    /// The paths of its glob imports.
    pub globs: Vec<Vec<String>>,
    /// Every path that its code names, and every private `use`.
    pub paths: BTreeSet<Vec<String>>,
}

/// The modules of a crate, by their path from `crate`, without those of tests.
pub fn modules<'a>(
    sources: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> BTreeMap<String, Module> {
    let mut reader = Reader::default();
    for (file, text) in sources {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        reader.at = module_of(file);
        reader.file = file.to_owned();
        reader.module();
        reader.visit_file(&parsed);
    }
    let Reader { mut modules, tests, .. } = reader;
    // A file is a child of its folder, whether or not the folder's own file was given.
    for name in modules.keys().cloned().collect::<Vec<_>>() {
        let mut at = name.as_str();
        while let Some((parent, child)) = at.rsplit_once("::") {
            modules.entry(parent.to_owned()).or_default().children.insert(child.to_owned());
            at = parent;
        }
    }
    modules.retain(|name, _| {
        !tests.iter().any(|test| name == test || name.starts_with(&format!("{test}::")))
    });
    modules
}

/// The module that a file is: `src/a/b.rs` and `src/a/b/mod.rs` are `crate::a::b`.
fn module_of(file: &str) -> String {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    let inside = inside.trim_end_matches("/mod");
    match inside {
        "lib" | "main" => "crate".to_owned(),
        _ => format!("crate::{}", inside.replace('/', "::")),
    }
}

#[derive(Default)]
struct Reader {
    at: String,
    file: String,
    modules: BTreeMap<String, Module>,
    tests: BTreeSet<String>,
}

impl Reader {
    fn module(&mut self) -> &mut Module {
        let file = &self.file;
        self.modules
            .entry(self.at.clone())
            .or_insert_with(|| Module { file: file.clone(), ..Module::default() })
    }

    fn define(&mut self, name: impl ToString) {
        let name = name.to_string();
        self.module().items.insert(name);
    }

    /// Takes the branches of a `use` apart.
    fn bind(&mut self, tree: &UseTree, mut path: Vec<String>, public: bool) {
        match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                self.bind(&inner.tree, path, public);
            }
            UseTree::Group(group) => {
                for inner in &group.items {
                    self.bind(inner, path.clone(), public);
                }
            }
            UseTree::Glob(_) => self.module().globs.push(path),
            UseTree::Name(name) => self.bind_name(name.ident.to_string(), None, path, public),
            UseTree::Rename(both) => {
                self.bind_name(both.ident.to_string(), Some(both.rename.to_string()), path, public);
            }
        }
    }

    fn bind_name(
        &mut self,
        name: String,
        renamed: Option<String>,
        mut path: Vec<String>,
        public: bool,
    ) {
        // `use a::b::{self}` binds `b`.
        let bound = match name.as_str() {
            "self" => path.last().cloned().unwrap_or_default(),
            _ => {
                path.push(name.clone());
                name
            }
        };
        let module = self.module();
        if !public {
            module.paths.insert(path.clone());
        }
        module.names.insert(renamed.unwrap_or(bound), path);
    }

    /// The paths among the arguments of a macro, which are no syntax tree.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut field) = (0, false);
        for token in tokens {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(_) if field => {}
                TokenTree::Ident(ident) if colons == 2 => path.push(ident.to_string()),
                TokenTree::Ident(ident) => {
                    self.keep(std::mem::replace(&mut path, vec![ident.to_string()]));
                }
                TokenTree::Group(group) => {
                    self.keep(std::mem::take(&mut path));
                    self.scan(group.stream());
                }
                _ => self.keep(std::mem::take(&mut path)),
            }
            colons = 0;
            field = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '.');
        }
        self.keep(path);
    }

    fn keep(&mut self, path: Vec<String>) {
        if !path.is_empty() {
            self.module().paths.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(inner) if is_test(&inner.attrs) => {
                self.tests.insert(format!("{}::{}", self.at, inner.ident));
                return;
            }
            Item::Fn(item) if is_test(&item.attrs) => return,
            Item::Impl(item) if is_test(&item.attrs) => return,
            Item::Use(item) if is_test(&item.attrs) => return,
            Item::Const(item) => self.define(&item.ident),
            Item::Enum(item) => self.define(&item.ident),
            Item::Fn(item) => self.define(&item.sig.ident),
            Item::Static(item) => self.define(&item.ident),
            Item::Struct(item) => self.define(&item.ident),
            Item::Trait(item) => self.define(&item.ident),
            Item::Type(item) => self.define(&item.ident),
            Item::Union(item) => self.define(&item.ident),
            Item::Macro(item) => {
                if let Some(name) = &item.ident {
                    self.define(name);
                }
            }
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, inner: &'ast ItemMod) {
        let name = inner.ident.to_string();
        self.module().children.insert(name.clone());
        if inner.content.is_some() {
            let outer = self.at.clone();
            self.at = format!("{outer}::{name}");
            self.module();
            visit::visit_item_mod(self, inner);
            self.at = outer;
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if item.leading_colon.is_none() {
            let public = !matches!(item.vis, Visibility::Inherited);
            self.bind(&item.tree, Vec::new(), public);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.keep(path.segments.iter().map(|part| part.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.visit_path(&call.path);
        self.scan(call.tokens.clone());
    }

    // Attributes such as `derive` name nothing of this crate.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|inner| inner == "test")
    })
}
