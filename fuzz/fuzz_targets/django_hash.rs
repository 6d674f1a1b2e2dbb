#![no_main]

vestibule_fuzz::feed!("django_hash");
