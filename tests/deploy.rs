//! What the Dockerfile and the manifests say of the program is what the program says of itself: ports, routes,
//! variables, folders, users, times.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use serde::Deserialize;
use yaml_serde::Value;

type Variables = BTreeMap<String, String>;

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn documents(path: &str) -> Vec<Value> {
    yaml_serde::Deserializer::from_str(&text(path)).map(|document| Value::deserialize(document).unwrap()).collect()
}

/// The value at a path of keys and numbers; null where there is none.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| match key.parse::<usize>() {
        Ok(index) => value.get(index).unwrap_or(&Value::Null),
        Err(_) => value.get(key).unwrap_or(&Value::Null),
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_sequence().map_or(&[], Vec::as_slice)
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value:?}"))
}

fn mcvn(arguments: &[&str], variables: &Variables) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mcvn")).args(arguments).env_clear().envs(variables).output().unwrap()
}

/// What a server with these variables runs with.
fn printed_config(variables: &Variables) -> toml::Table {
    let output = mcvn(&["serve", "--print-config"], variables);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

/// The instructions of each stage of the Dockerfile, by the stage's name, in order.
fn stages() -> Vec<(String, Vec<(String, String)>)> {
    let joined = text("Dockerfile").replace("\\\n", " ");
    let mut stages: Vec<(String, Vec<(String, String)>)> = Vec::new();
    for line in joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').unwrap();
        match (word, rest.rsplit_once(" AS ")) {
            ("FROM", Some((_, name))) => stages.push((name.to_owned(), Vec::new())),
            ("FROM", None) => panic!("a stage without a name: {line}"),
            _ => {
                if let Some((_, instructions)) = stages.last_mut() {
                    instructions.push((word.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")));
                }
            }
        }
    }
    stages
}

/// An instruction's text in the stage that becomes an image.
fn instruction(stage: &str, word: &str) -> String {
    let (_, instructions) = stages().into_iter().find(|(name, _)| name == stage).unwrap();
    let found: Vec<String> = instructions.into_iter().filter(|(w, _)| w == word).map(|(_, rest)| rest).collect();
    found.join(" ")
}

fn variables(pairs: &str) -> Variables {
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pairs.split_whitespace().map(|text| pair(text).unwrap()).collect()
}

/// A pod of a manifest: its container, its volumes, and what the program finds in its environment.
struct Pod {
    name: String,
    spec: Value,
    container: Value,
    variables: Variables,
}

impl Pod {
    fn read(path: &str) -> Self {
        let document = documents(path).remove(0);
        let spec = at(&document, "spec.template.spec").clone();
        let container = at(&spec, "containers.0").clone();
        let mut all = variables(&instruction("cpu", "ENV"));
        if !at(&container, "envFrom").is_null() {
            assert_eq!(string(at(&container, "envFrom.0.configMapRef.name")), "mcvn");
            all.extend(variables(&text("k8s/base/config.env")));
        }
        for variable in list(at(&container, "env")) {
            let value = variable.get("value").map_or("from-the-cluster", string);
            all.insert(string(at(variable, "name")).to_owned(), value.to_owned());
        }
        Self { name: string(at(&document, "metadata.name")).to_owned(), spec, container, variables: all }
    }

    fn servers() -> [Self; 2] {
        [Self::read("k8s/base/server.yaml"), Self::read("k8s/base/admin.yaml")]
    }

    fn all() -> [Self; 3] {
        let [server, admin] = Self::servers();
        [server, admin, Self::read("k8s/retrain/job.yaml")]
    }

    fn port(&self, name: &str) -> Option<u64> {
        let ports = list(at(&self.container, "ports"));
        ports.iter().find(|port| string(at(port, "name")) == name).and_then(|port| at(port, "containerPort").as_u64())
    }

    /// Whether something is mounted at a path or above it, and may be written to.
    fn mounted(&self, path: &str) -> Option<bool> {
        let mounts = list(at(&self.container, "volumeMounts"));
        let mount = mounts.iter().find(|mount| path.starts_with(string(at(mount, "mountPath"))))?;
        Some(at(mount, "readOnly").as_bool() != Some(true))
    }
}

fn port_of(address: &str) -> u64 {
    let (host, port) = address.rsplit_once(':').unwrap();
    assert_eq!(host, "0.0.0.0", "a container that listens on loopback cannot be reached");
    port.parse().unwrap()
}

/// Words that begin with `MCVN_`.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("MCVN_") && word.len() > 5).map(str::to_owned).collect()
}

#[test]
fn every_variable_is_one_that_the_program_knows() {
    let help = mcvn(&["serve", "--help"], &Variables::new());
    let known = names(&String::from_utf8(help.stdout).unwrap());
    assert!(known.contains("MCVN_LISTEN"), "{known:?}");
    let files = ["Dockerfile", "k8s/overlays/gpu/server.yaml", "monitoring/alerts.yaml", "docs/operations.md"];
    let mut used: BTreeSet<_> = files.into_iter().flat_map(|file| names(&text(file))).collect();
    used.extend(
        Pod::all().iter().flat_map(|pod| pod.variables.keys().cloned()).filter(|name| name.starts_with("MCVN_")),
    );
    let unknown: Vec<_> = used.difference(&known).map(String::as_str).collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[test]
fn ports_are_those_that_the_program_listens_on() {
    let service = documents("k8s/base/service.yaml").remove(0);
    assert_eq!(string(at(&service, "spec.ports.0.targetPort")), "http");
    let policy = documents("k8s/base/networkpolicy.yaml").remove(0);
    let open: Vec<_> = list(at(&policy, "spec.ingress.0.ports")).iter().map(|port| at(port, "port").as_u64()).collect();
    for pod in Pod::servers() {
        let config = printed_config(&pod.variables);
        let http = pod.port("http");
        assert_eq!(http, Some(port_of(config["listen"].as_str().unwrap())), "{}", pod.name);
        assert_eq!(open, [http], "the network lets in the public port and no other");
        for stage in ["cpu", "cuda"] {
            let ports = [http, Some(9090)].map(|port| port.unwrap().to_string()).join(" ");
            assert_eq!(instruction(stage, "EXPOSE"), ports);
        }
        let admin = pod.variables.get("MCVN_ADMIN_LISTEN").map(|address| port_of(address));
        assert_eq!(pod.port("admin"), admin, "{}", pod.name);
        if let Some(port) = admin {
            assert_eq!(port_of(config["admin"]["listen"].as_str().unwrap()), port, "{}", pod.name);
        }
    }
}

#[test]
fn probes_ask_routes_that_there_are() {
    let document: Value = yaml_serde::from_str(&text("openapi.yaml")).unwrap();
    for pod in Pod::servers() {
        for (probe, path) in [("startupProbe", "/startupz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")]
        {
            let get = at(&pod.container, &format!("{probe}.httpGet"));
            assert_eq!((string(at(get, "path")), string(at(get, "port"))), (path, "http"), "{}", pod.name);
            assert!(!document["paths"][path]["get"].is_null(), "{path}");
        }
    }
}

#[test]
fn a_pod_is_given_the_time_that_it_may_drain() {
    for pod in Pod::servers() {
        let drain = printed_config(&pod.variables)["drain_seconds"].as_float().unwrap();
        let pause = at(&pod.container, "lifecycle.preStop.sleep.seconds").as_f64().unwrap_or(0.0);
        let grace = at(&pod.spec, "terminationGracePeriodSeconds").as_f64().unwrap();
        assert!(grace > drain + pause, "{}: {grace} s for {pause} + {drain}", pod.name);
    }
    // Only the servers are behind a Service, and have to leave it first.
    assert!(!at(&Pod::servers()[0].container, "lifecycle.preStop").is_null());
}

#[test]
fn folders_are_mounted_as_the_program_uses_them() {
    let image = instruction("cpu", "VOLUME");
    let [server, admin, job] = Pod::all();
    for (pod, writes) in [(&server, false), (&admin, true)] {
        let config = printed_config(&pod.variables);
        let folders: Vec<_> =
            config["models_dirs"].as_array().unwrap().iter().map(|folder| folder.as_str().unwrap()).collect();
        let [shipped, own] = folders[..] else { panic!("{folders:?}") };
        assert_eq!((shipped, pod.mounted(shipped)), ("/models", None), "the image's own models stay in sight");
        assert!(own.starts_with(&image));
        assert_eq!(pod.mounted(own), Some(writes), "{}", pod.name);
        if let (Some(jobs), true) = (config.get("jobs"), writes) {
            assert_eq!(pod.mounted(jobs["state_dir"].as_str().unwrap()), Some(true));
            assert!(pod.mounted(jobs["data_dir"].as_str().unwrap()).is_some());
        }
    }
    assert!(server.variables.keys().all(|name| !name.contains("ADMIN")), "servers share a volume: none may write");
    assert_eq!(admin.mounted(&admin.variables["MCVN_ADMIN_KEYS_FILE"]), Some(false));
    assert_eq!(admin.mounted("/tmp"), Some(true));
    let own = admin.variables["MCVN_MODELS_DIR"].rsplit(',').next().unwrap();
    assert_eq!(job.mounted(own), Some(true), "a job leaves its bundle where the admin pod finds it");
}

#[test]
fn the_job_is_a_command_that_the_program_understands() {
    let job = Pod::read("k8s/retrain/job.yaml");
    let filled = |argument: &Value| {
        let variables = job.variables.iter().map(|(name, value)| (format!("$({name})"), value));
        let text = variables.fold(string(argument).to_owned(), |text, (name, value)| text.replace(&name, value));
        assert!(!text.contains("$("), "{text}");
        text
    };
    let arguments: Vec<String> = list(at(&job.container, "args")).iter().map(filled).collect();
    let output = mcvn(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &job.variables);
    let complaint = String::from_utf8(output.stderr).unwrap();
    // 2 would be a command line that is not understood; here only the mounted files are missing.
    assert!(output.status.code() == Some(1) && complaint.contains("recipe.toml"), "{complaint}");
    for flag in ["--recipe=", "--data=", "--out="] {
        let path = arguments.iter().find_map(|argument| argument.strip_prefix(flag)).unwrap();
        assert_eq!(job.mounted(path), Some(flag == "--out="), "{path}");
    }
}

#[test]
fn pods_are_restricted() {
    let user = instruction("cpu", "USER");
    let (user, group) = user.split_once(':').unwrap();
    for pod in Pod::all() {
        let may = |path: &str| at(&pod.container, &format!("securityContext.{path}")).as_bool();
        assert_eq!((may("allowPrivilegeEscalation"), may("readOnlyRootFilesystem")), (Some(false), Some(true)));
        assert_eq!(string(at(&pod.container, "securityContext.capabilities.drop.0")), "ALL");
        let security = at(&pod.spec, "securityContext");
        assert_eq!(at(security, "runAsNonRoot").as_bool(), Some(true));
        assert_eq!(string(at(security, "seccompProfile.type")), "RuntimeDefault");
        assert_eq!(at(security, "runAsUser").as_u64(), user.parse().ok(), "the image's user owns its folders");
        assert_eq!(at(security, "runAsGroup").as_u64(), group.parse().ok());
        // A Service `mcvn` would otherwise set MCVN_PORT and its like.
        assert_eq!(at(&pod.spec, "enableServiceLinks").as_bool(), Some(false));
        assert_eq!(at(&pod.spec, "automountServiceAccountToken").as_bool(), Some(false));
        assert!(!at(&pod.container, "resources.limits.memory").is_null());
    }
}

#[test]
fn manifests_are_of_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    for path in ["k8s/base", "k8s/retrain"] {
        let file = documents(&format!("{path}/kustomization.yaml")).remove(0);
        assert_eq!(at(&file, "labels.0.pairs").get("app.kubernetes.io/version").map(string), Some(version), "{path}");
    }
    for overlay in ["cpu", "gpu", "retrain-cpu", "retrain-gpu"] {
        let file = documents(&format!("k8s/overlays/{overlay}/kustomization.yaml")).remove(0);
        for image in list(at(&file, "images")) {
            assert_eq!(string(at(image, "newTag")).split_once('-').unwrap().0, version, "{overlay}");
        }
    }
}

#[test]
fn both_images_are_alike_and_cuda_is_the_default() {
    assert_eq!(stages().last().unwrap().0, "cuda");
    for word in ["USER", "WORKDIR", "VOLUME", "EXPOSE", "ENTRYPOINT", "CMD"] {
        assert_eq!(instruction("cpu", word), instruction("cuda", word));
    }
    let mut cuda = variables(&instruction("cuda", "ENV"));
    assert!(cuda.remove("CUDA_CACHE_PATH").unwrap().starts_with(&instruction("cuda", "VOLUME")));
    assert_eq!(variables(&instruction("cpu", "ENV")), cuda);
    for stage in ["cpu", "cuda"] {
        assert!(instruction(stage, "HEALTHCHECK").ends_with(r#"CMD ["mcvn", "healthcheck"]"#));
        assert_eq!(
            (instruction(stage, "ENTRYPOINT"), instruction(stage, "CMD")),
            (r#"["mcvn"]"#.into(), r#"["serve"]"#.into())
        );
    }
    // An exact tag for every base.
    let arguments: Vec<String> =
        text("Dockerfile").lines().filter_map(|line| line.strip_prefix("ARG ")).map(str::to_owned).collect();
    assert_eq!(arguments.len(), 3);
    assert!(
        arguments.iter().all(|base| base.split_once(':').is_some_and(|(_, tag)| tag.contains('.'))),
        "{arguments:?}"
    );
}
