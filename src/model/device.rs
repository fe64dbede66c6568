//! The device that holds the tensors: the CPU or a CUDA GPU.
//!
//! candle decides at compile time whether CUDA exists, and hides a missing GPU. Here only `auto` may fall back to the
//! CPU, and it reports what it chose and why.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;
use serde::{Deserialize, Serialize};

/// The device requested by the user; stored in files by its name, such as `cuda:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first GPU if there is one, otherwise the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU by number; an error if it does not exist.
    Cuda(usize),
}

/// Why a device could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// Not the name of a device.
    #[error("\"{0}\" is no device: use auto, cpu or cuda:N")]
    Name(String),
    /// The GPU does not exist, or the program was built without CUDA.
    #[error("cuda:{0} is not available: {1}")]
    Cuda(usize, String),
}

/// A device ready for use.
#[derive(Clone, Debug)]
pub struct OpenDevice {
    /// The candle device.
    pub device: Device,
    /// `cpu` or `cuda:N`.
    pub name: String,
    /// How it was chosen, for the log.
    pub note: String,
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            _ => match text.strip_prefix("cuda:").and_then(|number| number.parse().ok()) {
                Some(number) => Ok(Self::Cuda(number)),
                None => Err(DeviceError::Name(text.to_owned())),
            },
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, DeviceError> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`DeviceError::Cuda`] if a GPU requested by number is not available.
    pub fn open(self) -> Result<OpenDevice, DeviceError> {
        let cpu = |note: String| OpenDevice { device: Device::Cpu, name: "cpu".to_owned(), note };
        match self {
            Self::Cpu => Ok(cpu("asked for".to_owned())),
            Self::Cuda(number) => {
                let device = open_cuda(number).map_err(|why| DeviceError::Cuda(number, why))?;
                Ok(OpenDevice { device, name: format!("cuda:{number}"), note: "asked for".to_owned() })
            }
            Self::Auto => Ok(match open_cuda(0) {
                Ok(device) => OpenDevice { device, name: "cuda:0".to_owned(), note: "auto: a GPU answered".to_owned() },
                Err(why) => cpu(format!("auto: no GPU ({why})")),
            }),
        }
    }
}

/// Opens a GPU with its own stream, so that tensors made on one thread are ordered with work on another.
fn open_cuda(number: usize) -> Result<Device, String> {
    if !cfg!(feature = "cuda") {
        return Err("this program was built without the feature `cuda`".to_owned());
    }
    // With backtraces enabled, candle's errors are pages long.
    let first_line = |error: candle_core::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    let device = Device::new_cuda_with_stream(number).map_err(first_line)?;
    device.synchronize().map_err(first_line)?;
    Ok(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["auto", "cpu", "cuda:3"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }
}
