//! Which file of a crate imports which: from `use` items, paths and the arguments of macros.
//! Modules that only tests compile are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// For each module the modules that it imports from.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// A path, from the crate's root or from where it stands.
type Segments = Vec<String>;

/// The files of a crate by module; the root is the empty name.
pub struct Sources {
    files: BTreeMap<String, Parsed>,
}

#[derive(Default)]
struct Parsed {
    /// Paths as they are written, and how deep in inline modules.
    paths: Vec<(Segments, usize)>,
    /// Names that are passed on: the name, and the path that it stands for.
    passed_on: BTreeMap<String, Segments>,
}

impl Sources {
    pub fn read(folder: &Path) -> Sources {
        let mut texts = Vec::new();
        collect(folder, folder, &mut texts);
        let texts: Vec<_> = texts
            .iter()
            .map(|(name, text)| (&**name, &**text))
            .collect();
        Sources::of(&texts)
    }

    /// Of modules and their texts.
    pub fn of(texts: &[(&str, &str)]) -> Sources {
        let mut parsed: BTreeMap<_, _> = BTreeMap::new();
        let mut only_tests = BTreeSet::new();
        for (module, text) in texts {
            let file = syn::parse_file(text).unwrap_or_else(|fault| panic!("{module}: {fault}"));
            only_tests.extend(declared_for_tests(module, &file));
            let mut found = Found::default();
            found.visit_file(&file);
            parsed.insert((*module).to_owned(), found.parsed);
        }
        let is_test = |module: &str| {
            let prefixes = only_tests.iter();
            prefixes.into_iter().any(|test: &String| {
                module == test
                    || module
                        .strip_prefix(&**test)
                        .is_some_and(|r| r.starts_with("::"))
            })
        };
        // Files that a `path` attribute gives another name.
        parsed.retain(|module, _| !is_test(module) && !module.ends_with("_tests"));
        Sources { files: parsed }
    }

    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn imports(&self) -> Imports {
        let targets = |module: &String, parsed: &Parsed| {
            let paths = parsed.paths.iter();
            let absolute = paths.filter_map(|(path, depth)| self.absolute(module, path, *depth));
            let mut all: BTreeSet<String> = absolute.map(|path| self.home(path, 0)).collect();
            all.remove(module);
            all
        };
        let files = self.files.iter();
        files
            .map(|(module, parsed)| (module.clone(), targets(module, parsed)))
            .collect()
    }

    /// The path from the crate's root; `None` for one that leads elsewhere.
    fn absolute(&self, module: &str, path: &[String], depth: usize) -> Option<Segments> {
        let here: Segments = match module {
            "" => Vec::new(),
            module => module.split("::").map(str::to_owned).collect(),
        };
        let first = path.first()?;
        let ups = path
            .iter()
            .take_while(|segment| *segment == "super")
            .count();
        if first == "crate" {
            return Some(path.get(1..)?.to_vec());
        }
        if first == "self" && depth == 0 {
            return Some([&here, path.get(1..)?].concat());
        }
        if ups > depth {
            let above = here.len().checked_sub(ups - depth)?;
            return Some([here.get(..above)?, path.get(ups..)?].concat());
        }
        let child = [&*here, std::slice::from_ref(first)].concat().join("::");
        let is_child = depth == 0 && self.files.contains_key(&child);
        is_child.then(|| [&*here, path].concat())
    }

    /// The module in which a path's target is defined, behind all that pass it on.
    fn home(&self, path: Segments, hops: usize) -> String {
        let lengths = (0..=path.len()).rev();
        let mut prefixes = lengths.map(|length| (length, path[..length].join("::")));
        let found = prefixes.find(|(_, module)| self.files.contains_key(module));
        let (length, module) = found.unwrap_or_default();
        let next = path
            .get(length)
            .and_then(|name| self.files.get(&module)?.passed_on.get(name));
        let next = next.and_then(|path| self.absolute(&module, path, 0));
        match next.filter(|_| hops < 8) {
            Some(mut next) => {
                next.extend(path.get(length + 1..).into_iter().flatten().cloned());
                self.home(next, hops + 1)
            }
            None => module,
        }
    }
}

fn collect(root: &Path, folder: &Path, texts: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, texts);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().with_extension("");
            let parts = name.iter().map(|part| part.to_string_lossy().into_owned());
            let mut parts: Segments = parts.collect();
            let is_head = parts
                .last()
                .is_some_and(|part| part == "mod" || part == "lib");
            if is_head {
                parts.pop();
            }
            texts.push((parts.join("::"), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Modules in files of their own that only tests declare.
fn declared_for_tests(module: &str, file: &File) -> Vec<String> {
    let declared = file.items.iter().filter_map(|item| match item {
        Item::Mod(item) if item.content.is_none() && is_for_tests(&item.attrs) => Some(item),
        _ => None,
    });
    let name = |item: &ItemMod| match module {
        "" => item.ident.to_string(),
        module => format!("{module}::{}", item.ident),
    };
    declared.map(name).collect()
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        let condition = attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok();
        condition && {
            let tokens = attribute.meta.require_list().unwrap().tokens.clone();
            // `not(test)` is what everybody else compiles.
            let text = tokens.to_string();
            text.contains("test") && !text.contains("not (test")
        }
    };
    attributes.iter().any(is_test)
}

#[derive(Default)]
struct Found {
    parsed: Parsed,
    depth: usize,
}

impl Found {
    fn tree(&mut self, prefix: &Segments, tree: &UseTree, is_passed_on: bool) {
        let with = |name: &dyn ToString| [&**prefix, &[name.to_string()]].concat();
        let (path, name) = match tree {
            UseTree::Path(path) => return self.tree(&with(&path.ident), &path.tree, is_passed_on),
            UseTree::Group(group) => {
                return group
                    .items
                    .iter()
                    .for_each(|tree| self.tree(prefix, tree, is_passed_on));
            }
            UseTree::Glob(_) => (prefix.clone(), None),
            UseTree::Name(name) if name.ident == "self" => (prefix.clone(), prefix.last().cloned()),
            UseTree::Name(name) => (with(&name.ident), Some(name.ident.to_string())),
            UseTree::Rename(name) => (with(&name.ident), Some(name.rename.to_string())),
        };
        if let Some(name) = name.filter(|_| is_passed_on && self.depth == 0) {
            self.parsed.passed_on.insert(name, path);
        } else {
            self.parsed.paths.push((path, self.depth));
        }
    }

    /// Paths in the arguments of a macro, which are not parsed.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Segments = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if path.is_empty() || colons == 2 => {
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                other => {
                    self.take(&mut path);
                    colons = 0;
                    match other {
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        TokenTree::Ident(name) => path.push(name.to_string()),
                        _ => {}
                    }
                }
            }
        }
        self.take(&mut path);
    }

    fn take(&mut self, path: &mut Segments) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.parsed.paths.push((path, self.depth));
        }
    }
}

impl Visit<'_> for Found {
    fn visit_item(&mut self, item: &Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &ItemMod) {
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &ItemUse) {
        let is_passed_on = !matches!(item.vis, Visibility::Inherited);
        self.tree(&Vec::new(), &item.tree, is_passed_on);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let names = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string());
        let names: Segments = names.collect();
        if names.len() > 1 {
            self.parsed.paths.push((names, self.depth));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &Macro) {
        visit::visit_macro(self, item);
        self.tokens(item.tokens.clone());
    }
}
