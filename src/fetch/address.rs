//! Which addresses a client may have us fetch from: those of the public internet alone (T36).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is not the public internet, as network and prefix length (RFC 6890 and its registry), and what only looks like it.
const CLOSED_V4: [([u8; 4], u32); 16] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
    // A public number, and inside of Azure what hands out the machine's secrets.
    ([168, 63, 129, 16], 32),
];

/// Inside of `2000::/3`, the rest of which is public.
const CLOSED_V6: [([u16; 3], u32); 4] = [
    ([0x2001, 0, 0], 23),
    ([0x2001, 0xdb8, 0], 32),
    // Lead to IPv4 addresses that are written inside (6to4).
    ([0x2002, 0, 0], 16),
    ([0x3fff, 0, 0], 20),
];

/// Whether an address belongs to the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    !CLOSED_V4.iter().any(|(network, length)| {
        let network = Ipv4Addr::from(*network).to_bits();
        (bits ^ network).leading_zeros() >= *length
    })
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // NAT64 (RFC 6052): how a machine without IPv4 reaches an address that is IPv4, which decides.
    if let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = segments {
        return is_public_v4(Ipv4Addr::from_bits(
            (u32::from(high) << 16) | u32::from(low),
        ));
    }
    let [first, second, third, ..] = segments;
    let bits = join([first, second, third]);
    let closed = |(network, length): &([u16; 3], u32)| {
        (bits ^ join(*network)).leading_zeros() >= *length + 16
    };
    first & 0xe000 == 0x2000 && !CLOSED_V6.iter().any(closed)
}

/// 48 bits, at the end of 64.
fn join([first, second, third]: [u16; 3]) -> u64 {
    (u64::from(first) << 32) | (u64::from(second) << 16) | u64::from(third)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T36.
    #[test]
    fn only_the_public_internet_is_public() {
        for closed in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:1::1",
            "2001:1ff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::",
            "3fff::1",
            "3fff:fff::1",
            "4000::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert!(!is_public(closed.parse().unwrap()), "{closed}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "192.169.0.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "2001:200::1",
            "2001:db7::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1",
            "2a00:1450::1",
            "3ffe::1",
            "3fff:1000::1",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }
}
