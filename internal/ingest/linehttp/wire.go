package linehttp

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

var errGroup = errors.New("protobuf: a group, which protobuf 3 does not have")

// Fields gives each field of a protobuf message: v is the body of one with a length,
// n the value of any other. v aliases msg.
func Fields(msg []byte, field func(num protowire.Number, typ protowire.Type, v []byte, n uint64) error) error {
	for len(msg) > 0 {
		num, typ, size := protowire.ConsumeTag(msg)
		if size < 0 {
			return fmt.Errorf("protobuf: %w", protowire.ParseError(size))
		}
		msg = msg[size:]
		var v []byte
		var n uint64
		switch typ {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(msg)
		case protowire.Fixed64Type:
			n, size = protowire.ConsumeFixed64(msg)
		case protowire.Fixed32Type:
			var n32 uint32
			n32, size = protowire.ConsumeFixed32(msg)
			n = uint64(n32)
		case protowire.BytesType:
			v, size = protowire.ConsumeBytes(msg)
		default:
			return errGroup
		}
		if size < 0 {
			return fmt.Errorf("protobuf: %w", protowire.ParseError(size))
		}
		msg = msg[size:]
		if err := field(num, typ, v, n); err != nil {
			return err
		}
	}
	return nil
}
