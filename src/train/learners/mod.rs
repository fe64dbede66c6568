//! The learners: networks and their teachers, Gaussian processes, trees.

pub(super) mod adam;
pub(super) mod boosting;
pub(super) mod elbo;
pub(super) mod forest;
pub(super) mod gp;
pub(super) mod kinds;
pub(super) mod kmedoids;
pub(super) mod lesson;
pub(super) mod linalg;
pub(super) mod mixer;
pub(super) mod network;
pub(super) mod optimizer;
pub(super) mod teacher;
pub(super) mod tree_nodes;
