//! How soon unused memory goes back to the operating system.
//!
//! A server must shrink again after it has answered long lists. But memory that goes back must be requested again,
//! and a delay of some ten milliseconds cost predictions a twentieth of their rate. A training requests the same
//! blocks at every step and is faster if the allocator keeps them for a while, so it keeps the default.

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// `mi_option_purge_delay` of mimalloc.h, which the crate does not name.
const PURGE_DELAY: mi_option_t = 15;
/// Milliseconds after which unused pages go back; mimalloc's default is 1000.
const SOON: std::ffi::c_long = 250;

/// Sets the delay after which unused memory goes back.
#[allow(unsafe_code, reason = "the allocator is set through C; see the proof below")]
pub fn goes_back_soon() {
    // SAFETY: the call stores a number in an option of the allocator, which reads it at its next purge; any value is
    // valid, no pointer is involved, and the functions are those of the allocator that the program is linked with.
    unsafe { mi_option_set(PURGE_DELAY, SOON) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "reads an option of the allocator")]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: the call reads a number.
        let read = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(read(), 1000, "mimalloc's own delay; where that has changed look for the option's number");
        goes_back_soon();
        assert_eq!(read(), SOON);
    }
}
