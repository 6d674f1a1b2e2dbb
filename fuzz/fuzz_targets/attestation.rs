#![no_main]

vestibule_fuzz::feed!("attestation");
