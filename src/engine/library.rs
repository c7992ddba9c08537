//! [`Library`]: finds an engine's shared library. [`Once`]: loads at most one of each per process.
//!
//! Places, in order:
//!
//! 1. The place named by an environment variable: the library, its folder, or a folder with a known place below
//!    (site-packages with a pip wheel, a Python environment, an unpacked archive). If nothing is there, the search ends:
//!    the user means that place and no other.
//! 2. The active Python environment (`VIRTUAL_ENV`).
//! 3. `LD_LIBRARY_PATH`, the folders named in `/etc/ld.so.conf`, the folders of the dynamic linker.
//!
//! In a folder, a name without a version comes first, then the highest version.

use super::{EngineError, EngineKind};
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// How to find the library of an engine.
pub(super) struct Library {
    pub engine: EngineKind,
    /// File name without version: `libonnxruntime.so`.
    pub file: &'static str,
    /// Environment variables that name its place; the first one that is set counts.
    pub variables: &'static [&'static str],
    /// Places of the library below a folder that a variable names: in archives and among Python's packages.
    pub below: &'static [&'static str],
    /// Instructions for the user: what to install, and how to name its place.
    pub remedy: &'static str,
    /// Instructions for the user where the library that was found is of no use here: how to get another build.
    pub other_build: &'static str,
    /// Says why the library of this version cannot run on this processor, as far as that is known.
    pub unfit: fn(&[u64]) -> Option<&'static str>,
}

/// A library file that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub path: PathBuf,
    /// The user named the place, so no other library will do.
    pub asked_for: bool,
}

impl Found {
    /// Writes path, length and date.
    pub fn in_words(&self) -> String {
        let path = self.path.display();
        let Ok(data) = std::fs::metadata(&self.path) else {
            return path.to_string();
        };
        let changed = data
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let seconds = changed.unwrap_or_default().as_secs();
        format!("{path} of {} bytes, {seconds}", data.len())
    }
}

/// The parts of the machine that the search looks at.
pub(super) struct Machine<'a> {
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Folder of `ld.so.conf`.
    pub etc: &'a Path,
}

impl Machine<'_> {
    /// Returns the machine this process runs on.
    pub fn this() -> Self {
        Self {
            variable: &|name| std::env::var_os(name).filter(|value| !value.is_empty()),
            etc: Path::new("/etc"),
        }
    }

    /// Returns the folders that the dynamic linker searches.
    fn folders(&self) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = (self.variable)("LD_LIBRARY_PATH")
            .map(|paths| std::env::split_paths(&paths).collect())
            .unwrap_or_default();
        let mut lists = vec![self.etc.join("ld.so.conf")];
        lists.extend(entries(&self.etc.join("ld.so.conf.d")));
        for list in lists {
            let text = std::fs::read_to_string(list).unwrap_or_default();
            let lines = text.lines().map(str::trim);
            folders.extend(lines.filter(|l| l.starts_with('/')).map(PathBuf::from));
        }
        for usual in ["/usr/local/lib", "/usr/lib", "/lib"] {
            folders.extend(multiarch().map(|arch| Path::new(usual).join(arch)));
            folders.push(usual.into());
        }
        folders.extend(["/usr/lib64", "/lib64"].map(PathBuf::from));
        folders
    }
}

/// Returns Debian's name of the library folder for this processor.
fn multiarch() -> Option<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Some("x86_64-linux-gnu"),
        "aarch64" => Some("aarch64-linux-gnu"),
        "arm" => Some("arm-linux-gnueabihf"),
        _ => None,
    }
}

impl Library {
    /// Finds the library.
    ///
    /// # Errors
    /// [`EngineError::NotInstalled`]; [`EngineError::Library`] if this processor is known to lack what the library executes.
    pub fn find(&self, machine: &Machine) -> Result<Found, EngineError> {
        let set = |name: &&'static str| Some((*name, PathBuf::from((machine.variable)(name)?)));
        let pointed_at = self.variables.iter().find_map(set);
        let path = match &pointed_at {
            Some((_, place)) => self.at(place),
            None => (machine.variable)("VIRTUAL_ENV")
                .and_then(|place| self.at(Path::new(&place)))
                .or_else(|| machine.folders().iter().find_map(|f| self.in_folder(f))),
        };
        match path {
            Some(path) => self.fit(Found {
                path: path.canonicalize().unwrap_or(path),
                asked_for: pointed_at.is_some(),
            }),
            None => Err(EngineError::NotInstalled {
                engine: self.engine,
                pointed_at,
                remedy: self.remedy,
            }),
        }
    }

    /// Refuses a library that is known to end the process.
    fn fit(&self, found: Found) -> Result<Found, EngineError> {
        let version = self.version(&found.path).unwrap_or_default();
        match (self.unfit)(&version) {
            None => Ok(found),
            Some(why) => Err(EngineError::Library {
                engine: self.engine,
                path: found.path,
                reason: format!("{why}; {}", self.other_build),
                source: None,
            }),
        }
    }

    /// Describes the library by path, length and date, which an update changes. Its version is known only once it is loaded.
    pub fn in_words(&self, machine: &Machine) -> String {
        let engine = self.engine;
        match self.find(machine) {
            Ok(found) => format!("{engine} {}", found.in_words()),
            Err(_) => format!("no {engine}"),
        }
    }

    /// Returns the library at a named place.
    fn at(&self, place: &Path) -> Option<PathBuf> {
        if place.is_file() {
            return Some(place.to_owned());
        }
        let pythons = entries(&place.join("lib")).into_iter().filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("python3")
        });
        let packages = pythons.map(|python| python.join("site-packages"));
        let below = |root: &PathBuf| {
            self.below
                .iter()
                .find_map(|b| self.in_folder(&root.join(b)))
        };
        self.in_folder(place).or_else(|| {
            std::iter::once(place.to_owned())
                .chain(packages)
                .find_map(|root| below(&root))
        })
    }

    fn in_folder(&self, folder: &Path) -> Option<PathBuf> {
        let plain = folder.join(self.file);
        if plain.is_file() {
            return Some(plain);
        }
        let versions = entries(folder).into_iter().filter_map(|path| {
            let version = self.version(&path)?;
            path.is_file().then_some((version, path))
        });
        versions.max().map(|(_, path)| path)
    }

    /// Reads `[1, 21, 0]` from `libonnxruntime.so.1.21.0`.
    pub fn version(&self, path: &Path) -> Option<Vec<u64>> {
        let name = path.file_name()?.to_str()?;
        let version = name.strip_prefix(self.file)?.strip_prefix('.')?;
        version.split('.').map(|part| part.parse().ok()).collect()
    }
}

/// Returns the entries of a folder in order, or nothing if it is not a folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut entries: Vec<_> = entries.map(|entry| entry.path()).collect();
    entries.sort_by_key(|path| Reverse(path.clone()));
    entries
}

/// A library that is loaded once, from the first path asked for, until the process ends.
pub(super) struct Once<T>(Mutex<Option<(PathBuf, T)>>);

impl<T: Clone> Once<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Returns the loaded value and the path of the library; loads it on the first call.
    ///
    /// # Errors
    /// [`EngineError::OtherLibrary`] if the user asks for another library than the loaded one. Otherwise the error of
    /// `found`, if it is needed, or of `load`.
    pub fn get(
        &self,
        engine: EngineKind,
        found: Result<Found, EngineError>,
        load: impl FnOnce(&Path) -> Result<T, EngineError>,
    ) -> Result<(T, PathBuf), EngineError> {
        let mut loaded = self.0.lock();
        if let Some((path, value)) = &*loaded {
            return match found {
                Ok(found) if found.asked_for && found.path != *path => {
                    Err(EngineError::OtherLibrary {
                        engine,
                        asked: found.path,
                        loaded: path.clone(),
                    })
                }
                Err(EngineError::NotInstalled {
                    pointed_at: Some((_, asked)),
                    ..
                }) => Err(EngineError::OtherLibrary {
                    engine,
                    asked,
                    loaded: path.clone(),
                }),
                _ => Ok((value.clone(), path.clone())),
            };
        }
        let path = found?.path;
        let value = load(&path)?;
        *loaded = Some((path.clone(), value.clone()));
        Ok((value, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LIBRARY: Library = Library {
        engine: EngineKind::OnnxRuntime,
        file: "libx.so",
        variables: &["X_PATH", "X_HOME"],
        below: &["x/libs"],
        remedy: "install x",
        other_build: "install y",
        unfit: |version| (version == [6]).then_some("six is too much"),
    };

    /// A folder for one test, removed when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("gstdetect-library-{}-{number}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&folder).expect("a writable folder");
            Self(folder.canonicalize().expect("made just now"))
        }

        fn file(&self, path: &str, text: &str) -> PathBuf {
            let path = self.0.join(path);
            std::fs::create_dir_all(path.parent().expect("in a folder")).expect("writable");
            std::fs::write(&path, text).expect("writable");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn find(folder: &Folder, variables: &[(&str, &Path)]) -> Result<Found, EngineError> {
        let variable = |name: &str| {
            let set = variables.iter().find(|(known, _)| *known == name);
            set.map(|(_, value)| value.as_os_str().to_owned())
        };
        LIBRARY.find(&Machine {
            variable: &variable,
            etc: &folder.0,
        })
    }

    fn asked_for(path: PathBuf) -> Found {
        Found {
            path,
            asked_for: true,
        }
    }

    #[test]
    fn a_variable_names_the_library_or_a_folder_that_has_it() {
        let folder = Folder::new();
        let wheel = folder.file("venv/lib/python3.11/site-packages/x/libs/libx.so.12", "");
        let packages = folder.0.join("venv/lib/python3.11/site-packages");
        for place in [
            &folder.0.join("venv"),
            &packages,
            wheel.parent().expect("a folder"),
            &wheel,
        ] {
            let found = find(&folder, &[("X_HOME", place)]).expect("it is there");
            assert_eq!(found, asked_for(wheel.clone()), "{place:?}");
        }
    }

    #[test]
    fn a_variable_that_leads_nowhere_ends_the_search() {
        let folder = Folder::new();
        let library = folder.file("lib/libx.so", "");
        folder.file("ld.so.conf", &folder.0.join("lib").display().to_string());
        let found = find(&folder, &[]).expect("by the linker's list");
        assert_eq!((found.path, found.asked_for), (library, false));
        let nowhere = folder.0.join("nowhere");
        let error = find(&folder, &[("X_PATH", &nowhere)]).expect_err("not there");
        let text = error.to_string();
        for part in ["X_PATH", "nowhere", "install x", "onnxruntime"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn the_linkers_folders_are_searched_in_order() {
        let folder = Folder::new();
        let (first, second) = (
            folder.file("first/libx.so.1", ""),
            folder.file("second/libx.so.2", ""),
        );
        let line = format!("# a comment\n {}\n", folder.0.join("second").display());
        folder.file("ld.so.conf.d/x.conf", &line);
        assert_eq!(find(&folder, &[]).expect("listed").path, second);
        let place = folder.0.join("first");
        let found = find(&folder, &[("LD_LIBRARY_PATH", &place)]).expect("named");
        assert_eq!((found.path, found.asked_for), (first, false));
        let venv = folder.0.join("venv");
        let wheel = folder.file("venv/lib/python3.13/site-packages/x/libs/libx.so.3", "");
        let found = find(&folder, &[("VIRTUAL_ENV", &venv)]).expect("active");
        assert_eq!((found.path, found.asked_for), (wheel, false));
        assert!(find(&Folder::new(), &[]).is_err());
    }

    #[test]
    fn the_plain_name_goes_before_versions_and_of_these_the_highest() {
        let folder = Folder::new();
        for name in ["libx.so.1.9", "libx.so.old", "libxy.so.7", "libx.so.1.10.0"] {
            folder.file(name, "");
        }
        let name = |found: Found| found.path.file_name().map(|n| n.to_owned());
        let by_folder = || find(&folder, &[("X_PATH", &folder.0)]).expect("there");
        assert_eq!(name(by_folder()), Some("libx.so.1.10.0".into()));
        folder.file("libx.so", "");
        assert_eq!(name(by_folder()), Some("libx.so".into()));
    }

    #[test]
    fn a_version_that_this_processor_cannot_run_is_refused() {
        let folder = Folder::new();
        let library = folder.file("libx.so.6", "");
        let error = find(&folder, &[("X_PATH", &folder.0)]).expect_err("unfit");
        assert!(matches!(error, EngineError::Library { .. }), "{error:?}");
        let text = error.to_string();
        for part in [
            &*library.display().to_string(),
            "six is too much; install y",
        ] {
            assert!(text.contains(part), "{text}");
        }
        folder.file("libx.so.7", "");
        assert!(
            find(&folder, &[("X_PATH", &folder.0)]).is_ok(),
            "a higher version goes first"
        );
    }

    #[test]
    fn the_first_library_of_a_process_stays() {
        let once = Once::new();
        let engine = EngineKind::OpenVino;
        let found = |path: &str, asked_for| {
            Ok(Found {
                path: path.into(),
                asked_for,
            })
        };
        let refused = |_: &Path| {
            Err(EngineError::Panic {
                engine,
                text: "broken".into(),
            })
        };
        assert!(once.get(engine, found("/broken", true), refused).is_err());
        let loaded = once.get(engine, found("/one", true), |_| Ok(1));
        assert_eq!(loaded.expect("the first"), (1, "/one".into()));
        let never = |_: &Path| -> Result<i32, EngineError> { panic!("it is loaded") };
        for same in [
            found("/one", true),
            found("/by-the-linker", false),
            Err(not_installed(None)),
        ] {
            assert_eq!(once.get(engine, same, never).expect("loaded").0, 1);
        }
        for other in [
            found("/two", true),
            Err(not_installed(Some(("X_PATH", "/two".into())))),
        ] {
            let error = once.get(engine, other, never).expect_err("another");
            let text = error.to_string();
            assert!(text.contains("/one") && text.contains("/two"), "{text}");
        }
    }

    fn not_installed(pointed_at: Option<(&'static str, PathBuf)>) -> EngineError {
        EngineError::NotInstalled {
            engine: EngineKind::OpenVino,
            pointed_at,
            remedy: "install x",
        }
    }
}
