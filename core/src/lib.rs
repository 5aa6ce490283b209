#![no_std]
//! The machines.
