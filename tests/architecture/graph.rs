//! The graph of the files of `src`: which file names which, by `use` and by paths written out.
//!
//! Files are read with `syn`, module by module from `lib.rs`, so that a path leads to the file that defines what it names:
//! re-exports are followed, and one that a facade (`mod.rs`) only hands on is no dependency of the facade.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, ItemUse, Macro, UseTree, Visibility};

/// How one file names another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: PathBuf,
    pub(crate) to: PathBuf,
    /// In a test.
    pub(crate) test: bool,
    /// Only to hand it on (`pub use`).
    pub(crate) hands_on: bool,
}

/// A module's place: the names from the root of the crate to it.
type Place = Vec<String>;

/// What a module holds, as far as paths need it.
#[derive(Default)]
struct Module {
    file: PathBuf,
    children: BTreeSet<String>,
    /// Names that a `use` binds, and what they stand for.
    bound: BTreeMap<String, Place>,
}

/// A path that was found.
struct Named {
    from: PathBuf,
    path: Place,
    test: bool,
    hands_on: bool,
}

/// The files of `src`, each with what it names.
pub(crate) fn edges() -> BTreeSet<Edge> {
    let mut reading = Reading::default();
    reading.read(Path::new("src/lib.rs"), &[], false);
    let mut edges = BTreeSet::new();
    for Named { from, path, test, hands_on } in &reading.named {
        let to = reading.file_of(path, 0);
        if let Some(to) = to.filter(|to| to != from) {
            edges.insert(Edge { from: from.clone(), to, test: *test, hands_on: *hands_on });
        }
    }
    edges
}

/// Circles: sets of files each of which leads to every other.
pub(crate) fn circles(edges: &BTreeSet<Edge>) -> Vec<BTreeSet<PathBuf>> {
    let mut next: BTreeMap<&Path, BTreeSet<&Path>> = BTreeMap::new();
    for Edge { from, to, .. } in edges {
        next.entry(from).or_default().insert(to);
    }
    let reach = |start: &Path| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start.to_owned()]);
        while let Some(at) = open.pop() {
            for to in next.get(at.as_path()).into_iter().flatten() {
                if seen.insert((*to).to_owned()) {
                    open.push((*to).to_owned());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&Path, BTreeSet<PathBuf>> = next.keys().map(|file| (*file, reach(file))).collect();
    let mut circles = BTreeSet::new();
    for (file, seen) in reached.iter().filter(|(file, seen)| seen.contains(**file)) {
        let back = |other: &&PathBuf| reached.get(other.as_path()).is_some_and(|seen| seen.contains(*file));
        circles.insert(seen.iter().filter(back).cloned().collect::<BTreeSet<PathBuf>>());
    }
    circles.into_iter().collect()
}

#[derive(Default)]
struct Reading {
    modules: BTreeMap<Place, Module>,
    named: Vec<Named>,
}

impl Reading {
    /// Reads a file, and the files of the modules that it declares.
    fn read(&mut self, file: &Path, place: &[String], test: bool) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let syntax: File = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let test = test || is_test(&syntax.attrs);
        let mut module = InModule { reading: self, file: file.to_owned(), place: place.to_vec(), test };
        module.enter(&syntax.items);
        for item in &syntax.items {
            module.visit_item(item);
        }
    }

    /// The file that defines what a path from the root of the crate names.
    fn file_of(&self, path: &[String], depth: usize) -> Option<PathBuf> {
        let mut place = Place::new();
        for (index, name) in path.iter().enumerate() {
            let module = self.modules.get(&place)?;
            if module.children.contains(name) {
                place.push(name.clone());
                continue;
            }
            // A name that is bound to itself would lead nowhere: no re-export is that deep.
            if let Some(target) = module.bound.get(name).filter(|_| depth < 16) {
                let rest = path[index + 1..].iter().cloned();
                return self.file_of(&target.iter().cloned().chain(rest).collect::<Place>(), depth + 1);
            }
            break;
        }
        self.modules.get(&place).map(|module| module.file.clone())
    }
}

/// Collects the paths of one module.
struct InModule<'a> {
    reading: &'a mut Reading,
    file: PathBuf,
    place: Place,
    test: bool,
}

impl InModule<'_> {
    /// Notes what the module declares and binds, and reads the files of its modules.
    fn enter(&mut self, items: &[Item]) {
        let mut module = Module { file: self.file.clone(), ..Module::default() };
        module.children = items
            .iter()
            .filter_map(|item| if let Item::Mod(own) = item { Some(own.ident.to_string()) } else { None })
            .collect();
        self.reading.modules.insert(self.place.clone(), module);
        for item in items {
            match item {
                Item::Use(own) => {
                    for (name, target) in self.targets(own) {
                        self.reading.modules.entry(self.place.clone()).or_default().bound.insert(name, target);
                    }
                }
                Item::Mod(own) if own.content.is_none() => {
                    let place: Place = self.place.iter().cloned().chain([own.ident.to_string()]).collect();
                    self.reading.read(&self.file_of_child(own), &place, self.test || is_test(&own.attrs));
                }
                _ => {}
            }
        }
    }

    /// Where the file of a declared module lies.
    fn file_of_child(&self, child: &ItemMod) -> PathBuf {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        let written = child.attrs.iter().find(|attribute| attribute.path().is_ident("path"));
        if let Some(syn::Meta::NameValue(pair)) = written.map(|attribute| &attribute.meta)
            && let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(name), .. }) = &pair.value
        {
            return folder.join(name.value());
        }
        let stem = self.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let folder = if ["lib", "mod", "main"].contains(&stem) { folder.to_owned() } else { folder.join(stem) };
        let (file, inner) = (folder.join(format!("{}.rs", child.ident)), folder.join(child.ident.to_string()));
        if file.exists() { file } else { inner.join("mod.rs") }
    }

    /// A path as written, from the root of the crate; `None` where it leads out of it.
    fn absolute(&self, written: &[String]) -> Option<Place> {
        let (first, rest) = written.split_first()?;
        let mut place = match first.as_str() {
            "crate" => Place::new(),
            "self" => self.place.clone(),
            "super" => self.place[..self.place.len().checked_sub(1)?].to_vec(),
            name => {
                let module = self.reading.modules.get(&self.place)?;
                match module.bound.get(name) {
                    Some(target) => target.clone(),
                    None if module.children.contains(name) => {
                        self.place.iter().cloned().chain([name.to_owned()]).collect()
                    }
                    None => return None,
                }
            }
        };
        for name in rest {
            if name == "super" {
                place.pop();
            } else if name != "self" {
                place.push(name.clone());
            }
        }
        Some(place)
    }

    /// The names that a `use` binds, and what they stand for.
    fn targets(&self, own: &ItemUse) -> Vec<(String, Place)> {
        let mut leaves = Vec::new();
        flatten(&own.tree, &mut Vec::new(), &mut leaves);
        let leaves = leaves.into_iter().filter_map(|(name, path)| Some((name, self.absolute(&path)?)));
        leaves
            .filter(|(name, path)| {
                path.last() != Some(name)
                    || path.len() != self.place.len() + 1
                    || path[..self.place.len()] != self.place[..]
            })
            .collect()
    }

    fn name(&mut self, written: &[String], hands_on: bool) {
        if let Some(path) = self.absolute(written) {
            self.reading.named.push(Named { from: self.file.clone(), path, test: self.test, hands_on });
        }
    }
}

impl<'ast> Visit<'ast> for InModule<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let outside = self.test;
        self.test |= is_test(attributes(item));
        visit::visit_item(self, item);
        self.test = outside;
    }

    fn visit_item_mod(&mut self, own: &'ast ItemMod) {
        let Some((_, items)) = &own.content else { return };
        self.place.push(own.ident.to_string());
        self.enter(items);
        for item in items {
            self.visit_item(item);
        }
        self.place.pop();
    }

    fn visit_item_use(&mut self, own: &'ast ItemUse) {
        let hands_on = !matches!(own.vis, Visibility::Inherited);
        let mut leaves = Vec::new();
        flatten(&own.tree, &mut Vec::new(), &mut leaves);
        for (_, path) in leaves {
            self.name(&path, hands_on);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let written: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if written.len() > 1 {
            self.name(&written, false);
        }
        visit::visit_path(self, path);
    }

    /// What stands in a macro is no syntax tree: names with `::` between them are paths.
    fn visit_macro(&mut self, own: &'ast Macro) {
        let text = own.tokens.to_string().replace("::", " :: ");
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_name = |word: &str| word.chars().all(|c| c.is_alphanumeric() || c == '_');
        let mut at = 0;
        while at < words.len() {
            let start = at;
            let mut path = Vec::new();
            while is_name(words[at]) {
                path.push(words[at].to_owned());
                if words.get(at + 1) != Some(&"::") || words.get(at + 2).is_none_or(|word| !is_name(word)) {
                    break;
                }
                at += 2;
            }
            if path.len() > 1 {
                self.name(&path, false);
            }
            at = at.max(start) + 1;
        }
        visit::visit_macro(self, own);
    }
}

/// The leaves of a `use`: the name that each binds, and its path as written.
fn flatten(tree: &UseTree, path: &mut Place, leaves: &mut Vec<(String, Place)>) {
    match tree {
        UseTree::Path(own) => {
            path.push(own.ident.to_string());
            flatten(&own.tree, path, leaves);
            path.pop();
        }
        UseTree::Name(own) if own.ident == "self" => {
            leaves.push((path.last().cloned().unwrap_or_default(), path.clone()));
        }
        UseTree::Name(own) => leaves.push((own.ident.to_string(), with(path, own.ident.to_string()))),
        UseTree::Rename(own) => leaves.push((own.rename.to_string(), with(path, own.ident.to_string()))),
        UseTree::Glob(_) => leaves.push((String::from("*"), path.clone())),
        UseTree::Group(own) => own.items.iter().for_each(|tree| flatten(tree, path, leaves)),
    }
}

fn with(path: &[String], last: String) -> Place {
    path.iter().cloned().chain([last]).collect()
}

/// Whether an item is there for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg_test = || attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"));
        attribute.path().is_ident("cfg") && is_cfg_test()
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(own) => &own.attrs,
        Item::Enum(own) => &own.attrs,
        Item::Fn(own) => &own.attrs,
        Item::Impl(own) => &own.attrs,
        Item::Mod(own) => &own.attrs,
        Item::Static(own) => &own.attrs,
        Item::Struct(own) => &own.attrs,
        Item::Use(own) => &own.attrs,
        _ => &[],
    }
}
