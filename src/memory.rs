//! How soon memory that is no longer used goes back to the system.
//!
//! A server that has answered long lists shall not stay as large as it was; but what goes back is asked for again, and at some
//! ten milliseconds that cost predictions a twentieth of their rate. A training asks for the same blocks at every
//! step, and is faster where the allocator keeps them for a while: it is left as it is.

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// `mi_option_purge_delay` of mimalloc.h, which the crate does not name.
const PURGE_DELAY: mi_option_t = 15;
/// Milliseconds after which unused pages go back; mimalloc's own is a second.
const SOON: std::ffi::c_long = 250;

/// From now on unused memory goes back after some milliseconds.
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
