isthmus-contract-signature: 1
contract: pumps
as: owner
by: operations
key: 441139d1dbe1d467
key-kind: throw-away
at: 2026-11-23T16:19:42Z
digest: 7bf54cdedb7682723d157447a05b6bab626cd832b0d2d4ad6b901179e7af9a29
signature: 71bfa57468540760cba782d5d63af7bfb8b1941628dbb61681013c2005180a94e1bb1e13cbef17dfe38571c5c0a51c64802160a76b5dd9150dd1f314927f6b08

isthmus-contract-terms: 1
gateway: works
contract: pumps
service: cloud
module: sparkplug
to: 127.0.0.1:1883
owner: operations
custodian: data team
purpose: energy report
classification: internal
freshness: 5000 ms
completeness: 99.5 %
retention: 
returns: 
live-first: true
tags: 3
tag: works/a	uint16	m	0	1000
tag: works/b	uint16	m	0	1000
tag: works/c	uint16	kW	0	1000
