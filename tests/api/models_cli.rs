//! `mcvn models` and `mcvn admin-key`, as a person at a prompt uses them.

use std::path::Path;
use std::process::{Command, Output};

use crate::lifecycle::copy;
use crate::support::shipped_models;

fn mcvn(folders: &[&Path], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
    command.args(arguments);
    for folder in folders {
        command.arg("--models-dir").arg(folder);
    }
    command.output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn versions_are_listed_moved_promoted_and_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let (shipped, own) = (shipped_models(), folder.path().join("own"));
    std::fs::create_dir_all(&own).unwrap();
    let version = std::fs::read_to_string(shipped.join("glass/active")).unwrap().trim().to_owned();
    let shown = mcvn(&[&shipped], &["models", "show", "glass", &version]);
    assert!(lines(&shown).concat().contains("\"name\": \"glass\""));

    // Packed here, unpacked there.
    let tar = folder.path().join("glass.tar");
    let packed = mcvn(&[&shipped], &["models", "export", "glass", &version, "--output", tar.to_str().unwrap()]);
    assert!(packed.status.success(), "{packed:?}");
    let import = |file: &Path| mcvn(&[&own], &["models", "import", file.to_str().unwrap()]);
    assert_eq!(lines(&import(&tar)), [format!("glass {version} is a candidate")]);
    assert_eq!(lines(&mcvn(&[&own], &["models", "verify"])), [format!("glass\t{version}\tok")]);
    assert!(lines(&mcvn(&[&own], &["models", "list"]))[0].starts_with(&format!("glass\t{version}\tcandidate\t")));
    // The first version of a folder has nothing to be compared with; a second one has.
    assert!(mcvn(&[&own], &["models", "promote", "glass", &version]).status.success());
    let place = own.join("glass/second");
    copy(&own.join("glass").join(&version), &place);
    let manifest = std::fs::read_to_string(place.join("manifest.json")).unwrap();
    let renamed = manifest.replace(&format!("\"version\": \"{version}\""), "\"version\": \"second\"");
    std::fs::write(place.join("manifest.json"), renamed).unwrap();
    assert!(complaint(&mcvn(&[&own], &["models", "promote", "glass", "second"])).contains("no report"));
    assert!(mcvn(&[&own], &["models", "promote", "glass", "second", "--force"]).status.success());
    assert_eq!(lines(&mcvn(&[&own], &["models", "rollback", "glass"])), [format!("glass {version} is in use")]);
    assert!(complaint(&mcvn(&[&own], &["models", "rollback", "glass"])).contains("is not there"));

    // What answers is not removed, what does not is.
    assert!(complaint(&mcvn(&[&own], &["models", "remove", "glass", &version])).contains("answers"));
    copy(&place, &own.join("glass/third"));
    assert_eq!(lines(&mcvn(&[&own], &["models", "remove", "glass", "third"])), ["glass third is gone"]);
    assert!(!own.join("glass/third").exists());
    assert!(complaint(&mcvn(&[&own], &["models", "remove", "glass", "third"])).contains("is not there"));

    // Damage is found.
    let weights = place.join("weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    assert!(complaint(&mcvn(&[&own], &["models", "verify"])).contains("1 of 2 versions are bad"));
    assert!(complaint(&mcvn(&[&own], &["models", "promote", "glass", "second", "--force"])).contains("SHA-256"));
    std::fs::write(own.join("glass/active"), format!("{version}\nsecond\n")).unwrap();
    assert!(complaint(&mcvn(&[&own], &["models", "rollback", "glass"])).contains("SHA-256"));
    let bad = folder.path().join("bad.tar");
    mcvn(&[&own], &["models", "export", "glass", "second", "--output", bad.to_str().unwrap()]);
    let elsewhere = folder.path().join("elsewhere");
    let refused = mcvn(&[&elsewhere], &["models", "import", bad.to_str().unwrap()]);
    assert!(complaint(&refused).contains("SHA-256"));
    assert!(!elsewhere.join("glass").exists(), "nothing half-written");
    std::fs::write(&bad, "no tar").unwrap();
    assert!(!import(&bad).status.success());
}

#[test]
fn a_whole_model_is_removed_only_when_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (shipped, own) = (shipped_models(), folder.path().join("own"));
    copy(&shipped.join("glass"), &own.join("old-glass"));
    let remove = |folders: &[&Path], arguments: &[&str]| mcvn(folders, &[&["models", "remove"], arguments].concat());
    assert!(complaint(&remove(&[&own], &["old-glass"])).contains("VERSION"));
    assert!(complaint(&remove(&[&own], &["glass", "--whole"])).contains("glass is not there"));
    assert!(complaint(&remove(&[&shipped, &own], &["glass", "--whole"])).contains("only read"));
    assert!(own.join("old-glass/active").is_file());
    let gone = remove(&[&own], &["old-glass", "--whole"]);
    assert_eq!(lines(&gone), ["old-glass is gone, with all its versions"], "{gone:?}");
    assert!(!own.join("old-glass").exists());
}

#[test]
fn what_no_bundle_is_like_is_refused_before_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, paths: &mut dyn Iterator<Item = String>| {
        let path = folder.path().join(name);
        let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
        for path in paths {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            header.set_mode(0o755);
            archive.append_data(&mut header, path, std::io::empty()).unwrap();
        }
        archive.finish().unwrap();
        path
    };
    let nested = (1..=2_000).map(|depth| "d/".repeat(depth));
    let one = std::iter::once("d/".repeat(2_000));
    let many = (0..1_500).map(|count| format!("m/v/{count}"));
    let own = folder.path().join("own");
    for (archive, reason) in [
        (file("nested.tar", &mut nested.into_iter()), "folders 5 deep"),
        (file("one.tar", &mut one.into_iter()), "folders 2000 deep"),
        (file("many.tar", &mut many.into_iter()), "more than 1000 files and folders"),
    ] {
        let begin = std::time::Instant::now();
        let refused = mcvn(&[&own], &["models", "import", archive.to_str().unwrap()]);
        assert!(complaint(&refused).contains(reason), "{reason}: {refused:?}");
        assert!(begin.elapsed().as_secs() < 5, "{:?}", begin.elapsed());
    }
}

#[test]
fn keys_are_made_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.toml");
    let key = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcvn"));
        command.arg("admin-key").args(arguments).arg("--keys-file").arg(&file).output().unwrap()
    };
    let made = key(&["create", "--name", "alice", "--scopes", "read,promote"]);
    assert!(lines(&made)[0].starts_with("mcvn_"));
    assert_eq!(lines(&key(&["list"])), ["alice\tread,promote"]);
    assert!(complaint(&key(&["create", "--name", "alice", "--scopes", "read"])).contains("alice already"));
    assert!(complaint(&key(&["create", "--name", "bob", "--scopes", "fly"])).contains("fly"));
    assert!(key(&["revoke", "--name", "alice"]).status.success());
    assert!(lines(&key(&["list"])).is_empty());
}
