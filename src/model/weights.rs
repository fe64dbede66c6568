//! `weights.safetensors`: the tensors of all members by name.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor};

use crate::model::error::BundleError;

/// Prefix of the names of a member's tensors.
pub(super) fn member_prefix(index: usize) -> String {
    format!("members.{index}")
}

/// The tensors of a trained member, by their names in the member.
pub type MemberTensors = BTreeMap<String, Tensor>;

/// The bytes of `weights.safetensors`: the tensors of all members in a fixed order.
///
/// # Errors
/// Tensors could not be read from their device or encoded.
pub fn encode_weights(members: &[MemberTensors]) -> Result<Vec<u8>, BundleError> {
    let mut tensors = BTreeMap::new();
    for (index, member) in members.iter().enumerate() {
        for (name, tensor) in member {
            tensors.insert(format!("{}.{name}", member_prefix(index)), tensor.to_device(&Device::Cpu)?);
        }
    }
    safetensors::serialize(&tensors, None).map_err(|error| BundleError::Weights(error.to_string()))
}

/// Checks that all weights are finite. Otherwise a member that returns NaN would be treated as one without this output.
pub(super) fn check_numbers(tensors: &HashMap<String, Tensor>) -> Result<(), BundleError> {
    for (name, tensor) in tensors.iter().filter(|(_, tensor)| tensor.dtype().is_float()) {
        let numbers = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(BundleError::Weights(format!("{name}: number {at} is {}", numbers[at])));
        }
    }
    Ok(())
}
